"""A fact as a CloudEvent (structured mode, JSON), as it is handed to those outside.

Attributes follow CloudEvents 1.0; what it has no attribute for is an extension of the fact's own name, written without
underscores. `data` is the event in the JSON form of its proto; one of a kind this build does not know keeps its bytes.
"""

import base64
from typing import Any

from modelog.log.v1.fact_pb2 import Fact
from modelog.message_json import message_json
from modelog.sdk.facts import event_of

CONTENT_TYPE = "application/cloudevents+json"


def cloud_event(fact: Fact, revision: int) -> dict[str, Any]:
    """The same fact always makes the same event. `id` with `source` is unique, as the specification asks."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": fact.id,
        "source": "/" + "/".join(fact.resource.split("/", 2)[:2]),
        "type": fact.event.type_url.rpartition("/")[2],
        "subject": fact.resource,
        "time": fact.recorded_at.ToJsonString(),
        "revision": str(revision),
        "generation": str(fact.generation),
        "actor": fact.actor.id,
        "onbehalfof": ",".join(one.id for one in fact.on_behalf_of),
        "reason": fact.reason,
        "correlationid": fact.correlation_id,
        "causationid": fact.causation_id,
        "traceparent": fact.traceparent,
    }
    # An attribute without a value is left out: CloudEvents knows no empty ones.
    event = {name: value for name, value in event.items() if value}
    known = event_of(fact)
    if known is None:
        return event | {
            "datacontenttype": "application/protobuf",
            "data_base64": base64.b64encode(fact.event.value).decode(),
        }
    return event | {"datacontenttype": "application/json", "data": message_json(known)}
