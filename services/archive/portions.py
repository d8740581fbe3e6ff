"""How much goes into one reply."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

_MOST_BYTES = 1 << 20  # Of payloads in one reply, so that it stays below what clients accept.


class _Sized(Protocol):
    @property
    def payload(self) -> bytes: ...


_One = TypeVar("_One", bound=_Sized)


def within(found: Sequence[_One]) -> Sequence[_One]:
    """As many as fit, one at least."""
    total = 0
    for number, one in enumerate(found):
        total += len(one.payload)
        if total > _MOST_BYTES and number:
            return found[:number]
    return found
