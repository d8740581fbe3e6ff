"""How the copy lies in a file: one record after the other, each with its length, a checksum and its revision. Pure.

    bytes 0..3   the mark F0 6D 6C 63, by which records are found again behind damage
    bytes 4..7   length of the body, big-endian, like all numbers here
    bytes 8..11  CRC-32 over everything behind it
    bytes 12..19 revision
    body         two bytes of length, the subject, the payload exactly as the log stores it

The checksum finds accidents and tells a record from noise; whether a record is true is for the tree to say.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from kernel.log import Entry

MARK = b"\xf0mlc"
_HEAD = struct.Struct(">4sIIQ")
_BODY_FROM = _HEAD.size
_CHECKED_FROM = 12
_MOST_BODY_BYTES = 64 << 20


class Damage(NamedTuple):
    """Bytes of a file that are no record."""

    offset: int
    length: int


def frame(entry: Entry) -> bytes:
    """The record of one message."""
    subject = entry.subject.encode()
    body = len(subject).to_bytes(2) + subject + entry.payload
    checked = entry.revision.to_bytes(8) + body
    return MARK + len(body).to_bytes(4) + zlib.crc32(checked).to_bytes(4) + checked


def records(data: bytes, start: int = 0) -> Iterator[tuple[int, Entry | Damage]]:
    """Every record with its offset, and between them whatever is none."""
    at = damaged = start
    while at < len(data):
        found = _record(data, at)
        if found is None:
            at = data.find(MARK, at + 1)
            at = len(data) if at < 0 else at
            continue
        if damaged < at:
            yield damaged, Damage(damaged, at - damaged)
        entry, end = found
        yield at, entry
        at = damaged = end
    if damaged < len(data):
        yield damaged, Damage(damaged, len(data) - damaged)


def _record(data: bytes, at: int) -> tuple[Entry, int] | None:
    """The record that begins here, and where it ends."""
    if at + _BODY_FROM > len(data):
        return None
    mark, length, checksum, revision = _HEAD.unpack_from(data, at)
    end = at + _BODY_FROM + length
    if mark != MARK or not 2 <= length <= _MOST_BODY_BYTES or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[at + _CHECKED_FROM : end]) != checksum:
        return None
    subject_end = at + _BODY_FROM + 2 + int.from_bytes(data[at + _BODY_FROM : at + _BODY_FROM + 2])
    try:
        subject = data[at + _BODY_FROM + 2 : subject_end].decode()
    except UnicodeDecodeError:
        return None
    return (Entry(revision, subject, data[subject_end:end]), end) if subject_end <= end else None
