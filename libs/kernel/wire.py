"""The little of protobuf's wire format that lets stored messages travel inside a list without being parsed again."""

from collections.abc import Iterable


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(field_number: int, body: bytes) -> bytes:
    """One length-delimited field: a message, string or bytes."""
    return varint(field_number << 3 | 2) + varint(len(body)) + body


def listing(bodies: Iterable[bytes], next_page_token: str) -> bytes:
    """A List reply: `repeated <Resource> = 1; string next_page_token = 2`."""
    parts = [delimited(1, body) for body in bodies]
    if next_page_token:
        parts.append(delimited(2, next_page_token.encode()))
    return b"".join(parts)
