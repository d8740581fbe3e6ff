"""A fact as one row: what analysts ask for in columns of its own, the stored bytes beside them."""

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.message_json import message_json
from modelog.sdk.facts import Entry, event_of

_MICROSECONDS = 1_000_000
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Row(NamedTuple):
    """time, happened: microseconds since 1970, UTC; happened only where it was recorded later than it happened.

    event: the event as JSON, None when this build does not know its kind. payload: exactly the stored bytes, the leaf
    of the log's tree. Of a message that is no fact, only revision, subject, service and payload are there.
    """

    revision: int
    time: int | None = None
    happened: int | None = None
    resource: str = ""
    generation: int = 0
    project: str = ""
    service: str = ""
    type: str = ""
    actor: str = ""
    on_behalf_of: Sequence[str] = ()
    reason: str = ""
    fact_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    subject: str = ""
    event: str | None = None
    payload: bytes = b""


def row_of(entry: Entry) -> Row:
    """The same entry always makes the same row, as long as the build knows the same kinds of events."""
    service, fact = service_of(entry), entry.fact
    if fact is None or not fact.resource:
        return Row(revision=entry.revision, service=service, subject=entry.subject, payload=entry.payload)
    event = event_of(fact)
    return Row(
        entry.revision,
        _microseconds(fact.recorded_at),
        _microseconds(fact.happened_at) if fact.HasField("happened_at") else None,
        fact.resource,
        fact.generation,
        "/".join(fact.resource.split("/", 2)[:2]) if fact.resource.startswith("projects/") else "",
        service,
        fact.event.type_url.rpartition("/")[2],
        fact.actor.id,
        tuple(one.id for one in fact.on_behalf_of),
        fact.reason,
        fact.id,
        fact.correlation_id,
        fact.causation_id,
        entry.subject,
        None if event is None else compact(message_json(event)),
        entry.payload,
    )


def is_fact(entry: Entry) -> bool:
    """Whether it is a fact, and not what somebody put into the log by hand."""
    return entry.fact is not None and bool(entry.fact.resource)


def service_of(entry: Entry) -> str:
    """By the subject, which an unreadable message has too."""
    return entry.subject.split(".", 2)[1] if "." in entry.subject else ""


def day_of(entry: Entry) -> date | None:
    """The day in UTC on which it was recorded; None for what is no fact."""
    if entry.fact is None or not is_fact(entry):
        return None
    return date.fromordinal(_EPOCH_DAY + entry.fact.recorded_at.seconds // 86_400)


def _microseconds(time: Timestamp) -> int:
    return time.seconds * _MICROSECONDS + time.nanos // 1000


def compact(value: object) -> str:
    """JSON that is the same for the same value: maps of a message come in no order of their own."""
    return _ENCODE(value)
