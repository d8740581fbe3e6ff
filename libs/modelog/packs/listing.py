"""Facts as tables."""

from collections.abc import Collection, Iterable

from modelog.packs.parts import Sheet
from modelog.packs.saying import HEAD, kind_of, row
from modelog.sdk.facts import Entry


def listed(
    name: str, title: str, entries: Iterable[Entry], kinds: Collection[str] = (), *, folded: bool = False
) -> Sheet:
    """The facts of these kinds, or all, a line each."""
    return Sheet(name, title, HEAD, [row(one) for one in entries if not kinds or kind_of(one) in kinds], folded)
