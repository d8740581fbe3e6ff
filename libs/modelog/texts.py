"""Free text of people lies beside the log, so that it can be erased; a fact holds a marker in its place.

A marker is `text:<author>:<commitment>`: the first 16 bytes of SHA-256 over the principal id of who wrote it, and
SHA-256 over a random salt of 16 bytes and the text in UTF-8, both in base64url without padding. Whoever is handed salt
and text can tell that it is what the fact was made with; whoever has the marker alone learns nothing of the text.
"""

import base64
import hashlib
import re
from collections.abc import Iterable

SALT_BYTES = 16
MARKER = re.compile(r"text:[A-Za-z0-9_-]{22}:[A-Za-z0-9_-]{43}")
_IN_BYTES = re.compile(MARKER.pattern.encode())
_BEGINNING = b"text:"
# What a reader gets where a text was erased, cannot be had now, or is not what the fact was made with.
ERASED = "[no longer kept]"
UNAVAILABLE = "[cannot be read now]"
DAMAGED = "[damaged]"


def author_of(principal_id: str) -> str:
    """The author's part of a marker."""
    return _encoded(hashlib.sha256(principal_id.encode()).digest()[:16])


def marker(principal_id: str, salt: bytes, text: str) -> str:
    """What stands in the fact in place of the text."""
    return f"text:{author_of(principal_id)}:{commitment(salt, text.encode())}"


def commitment(salt: bytes, text: bytes) -> str:
    """The part of a marker by which a text is recognized."""
    return _encoded(hashlib.sha256(salt + text).digest())


def opened(mark: str, kept: bytes) -> str | None:
    """The text out of salt and text as they are kept; None when they are not those of the marker."""
    salt, text = kept[:SALT_BYTES], kept[SALT_BYTES:]
    if commitment(salt, text) != mark.rpartition(":")[2]:
        return None
    return text.decode(errors="replace")


def markers_in(data: bytes) -> list[str]:
    """Every marker in some serialized message, each once, in the order of their places."""
    if _BEGINNING not in data:
        return []
    return list(dict.fromkeys(one.decode() for one in _IN_BYTES.findall(data)))


def markers_of(texts: Iterable[str]) -> set[str]:
    return {one for text in texts for one in MARKER.findall(text)}


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
