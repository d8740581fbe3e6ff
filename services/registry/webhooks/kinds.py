"""The kinds of facts that are sent as JSON: those of every service, for webhooks carry all of a project's facts.

Protobuf reads an event only once its file is loaded, so this module loads them. One of another kind keeps its bytes.
"""

from kernel.fold import event_of, event_type
from modelog.known_events import kinds_of
from modelog.log.v1.fact_pb2 import Fact

KINDS = frozenset(name for service in ("registry", "deployment", "monitoring", "archive") for name in kinds_of(service))


def notifies(fact: Fact) -> bool:
    """Whether anybody is to be told: a fact may say itself that it is silent, as those of silenced alerts do."""
    return event_type(fact).rpartition(".")[2] not in KINDS or not getattr(event_of(fact), "silent", False)
