"""Tokens of pages: where a page ended, bound to the query it belongs to, opaque to callers. Pure."""

import base64
import binascii
import hashlib

from kernel.errors import invalid_field

_DIGEST_BYTES = 6
_MOST_DIGITS = 18  # Of numbers that are less than 2**63, whatever their digits.


def sealed(last: str, query: str) -> str:
    return base64.urlsafe_b64encode(_digest(query) + last.encode()).decode().rstrip("=")


def opened(token: str, query: str) -> str:
    """What was sealed; Invalid for a token of another query, or of nobody's."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if raw[:_DIGEST_BYTES] != _digest(query):
            raise ValueError("the token belongs to another query")
        return raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise unusable(error) from error


def place(token: str) -> int:
    """The revision or count that a token is, of a page that needs no more than a number; 0 for the first page."""
    if token and not (token.isascii() and token.isdigit() and len(token) <= _MOST_DIGITS):
        raise invalid_field("page_token", "take it unchanged from the last reply of the same query")
    return int(token or 0)


def unusable(error: Exception) -> Exception:
    return invalid_field("page_token", f"take it unchanged from the last reply of the same query: {error}")


def _digest(query: str) -> bytes:
    return hashlib.sha256(query.encode()).digest()[:_DIGEST_BYTES]
