"""What is kept of a message of ACCESS, and what of a record is told to whom. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from google.protobuf.message import DecodeError

from access.fold import EVERYWHERE
from kernel.log import Entry
from modelog.access.v1.types_pb2 import AccessRecord

_MOST_ID_CHARACTERS = 128
_MOST_CHARACTERS = 512  # Of a text that is looked up by; an index takes no more.


class Row(NamedTuple):
    """One row of table `access_record`, but for its number: position counts within the stream."""

    position: int
    id: str
    recorded_at: datetime
    service: str
    method: str
    principals: list[str]
    places: list[str]
    verdict: int
    reason: str
    readable: bool
    missing: int
    payload: bytes


def row_of(entry: Entry, now: datetime) -> Row:
    """Never raises, whatever the message holds: all of it is kept. now: when one without a time of its own came."""
    service = _text(entry.subject.rpartition(".")[2])
    record = record_in(entry.payload, service)
    if record is None:
        made = f"unreadable/{entry.revision}/{sha256(entry.payload).hexdigest()}"
        return Row(entry.revision, made, now, service, "", [], [], 0, "", False, 0, entry.payload)
    return Row(
        entry.revision,
        record.id,
        record.recorded_at.ToDatetime(tzinfo=UTC),
        service,
        _text(record.method),
        [_text(one.id) for one in (record.principal, *record.on_behalf_of) if one.id],
        sorted({place for name in record.resources for place in places_of(_text(name))}),
        record.verdict,
        _text(record.reason),
        True,
        0,
        entry.payload,
    )


def gap(first: int, last: int, now: datetime) -> Row:
    """What stands in the place of messages that were taken out of the midst of the stream."""
    return Row(last, f"missing/{first}/{last}", now, "", "", [], [], 0, "", False, last - first + 1, b"")


def record_in(payload: bytes, service: str) -> AccessRecord | None:
    """The record, or None when the bytes are none, or one of another service than may write where it stands."""
    try:
        record = AccessRecord.FromString(payload)
        record.recorded_at.ToDatetime(tzinfo=UTC)
    except (DecodeError, ValueError, OverflowError):
        return None
    plain = 0 < len(record.id) <= _MOST_ID_CHARACTERS and record.id.isprintable() and record.id.isascii()
    return record if plain and record.HasField("recorded_at") and record.service == service else None


def places_of(name: str) -> Iterable[str]:
    """A resource and everything it lies in: `projects/risk`, `projects/risk/models/fraud`, ..."""
    parts = name.split("/")
    yield from ("/".join(parts[:end]) for end in range(2, len(parts), 2))
    yield name


def narrowed(record: AccessRecord, parent: str) -> bool:
    """Takes out of a record what does not concern `parent`; whether there was anything.

    Who audits one project learns nothing of another that a call named as well: neither its names nor the sentence that
    may speak of them.
    """
    inside = [name for name in record.resources if parent in places_of(name)]
    project = "/".join(parent.split("/")[:2])
    elsewhere = [name for name in record.revisions if name not in (project, EVERYWHERE)]
    if len(inside) == len(record.resources) and not elsewhere:
        return False
    record.resources[:] = inside
    for name in elsewhere:
        del record.revisions[name]
    record.explanation = ""
    return True


def _text(value: str) -> str:
    """As Postgres can store and index it; the payload beside it keeps the truth."""
    return value[:_MOST_CHARACTERS].replace("\0", "\ufffd")
