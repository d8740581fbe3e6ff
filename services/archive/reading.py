"""What the copy keeps of a payload beside its bytes, so that facts can be found. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.fold import event_type
from kernel.log import Entry
from kernel.names import subject_of
from modelog.log.v1.fact_pb2 import Fact


class Row(NamedTuple):
    """One row of table `entry`. resource and event_type are empty where the payload is not a fact of this subject."""

    revision: int
    subject: str
    payload: bytes
    resource: str
    event_type: str
    actor: str
    correlation_id: str
    recorded_at: datetime | None
    happened_at: datetime | None


def row_of(entry: Entry) -> Row:
    """Never raises, whatever the payload holds: the copy has to keep all of it."""
    fact = fact_in(entry.payload, entry.subject)
    if fact is None:
        return Row(*entry, "", "", "", "", None, None)
    return Row(
        *entry,
        fact.resource,
        _text(event_type(fact)),
        _text(fact.actor.id),
        _text(fact.correlation_id),
        recorded_at(fact),
        _moment(fact.happened_at) if fact.HasField("happened_at") else None,
    )


def fact_in(payload: bytes, subject: str) -> Fact | None:
    """The fact, or None when the bytes are none or speak of a resource that does not live on this subject."""
    try:
        fact = Fact.FromString(payload)
    except DecodeError:
        return None
    return fact if lives_on(fact.resource, subject) else None


@lru_cache(maxsize=65536)
def lives_on(resource: str, subject: str) -> bool:
    parts, tokens = resource.split("/"), subject.split(".")
    if parts[0] != "projects" or len(parts) % 2 or len(tokens) < 4 or "\0" in resource:
        return False
    return subject_of(tokens[1], resource) == subject


def recorded_at(fact: Fact) -> datetime | None:
    return _moment(fact.recorded_at)


def _moment(stamp: Timestamp) -> datetime | None:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _text(value: str) -> str:
    """As Postgres can store it; the payload beside it keeps the truth."""
    return value.replace("\0", "\ufffd")
