"""The card as it was answered, with the fields of its proto."""

import json

from google.protobuf import json_format

from modelog.registry.v1.cards_pb2 import ModelCard


def as_json(card: ModelCard) -> str:
    """JSON with sorted keys, so that two cards can be compared line by line."""
    return json.dumps(json_format.MessageToDict(card), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
