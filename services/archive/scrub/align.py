"""Says what happened to which fact, from the hashes that should be there and those that are. Pure."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple


class Trouble(NamedTuple):
    """code as in findings.Finding. place: of the expected fact, or where a strange one stands; -1: no such place."""

    code: str
    place: int
    stands_at: int = -1


def differences(expected: Sequence[bytes], found: Sequence[bytes | None]) -> list[Trouble]:
    """What was done to `expected` to make `found`, in which None is a place where nothing can be read.

    Facts that are all there but later or earlier than they should be, because others were put in or taken out before
    them, are not named: only those that were put in or taken out.
    """
    places: dict[bytes, deque[int]] = defaultdict(deque)
    for place, leaf in enumerate(expected):
        places[leaf].append(place)
    origins = [places[leaf].popleft() if leaf is not None and places.get(leaf) else -1 for leaf in found]
    kept = _longest_increasing(origins)
    moved = {origin: at for at, origin in enumerate(origins) if origin >= 0 and at not in kept}
    troubles = [Trouble("MOVED", origin, at) for origin, at in moved.items()]
    readable_end = max((at for at, leaf in enumerate(found) if leaf is not None), default=-1)
    before_found = before_expected = -1
    for at in [*sorted(kept), len(found)]:
        origin = origins[at] if at < len(found) else len(expected)
        strange = [one for one in range(before_found + 1, at) if found[one] is not None and origins[one] < 0]
        absent = [one for one in range(before_expected + 1, origin) if one not in moved]
        troubles += _gap(strange, absent, at == len(found), readable_end, len(expected))
        before_found, before_expected = at, origin
    return sorted(troubles, key=lambda one: (one.place, one.code))


def _gap(strange: list[int], absent: list[int], at_end: bool, readable_end: int, count: int) -> list[Trouble]:
    """Between two facts that are in place: `strange` places hold what nobody signed, `absent` facts are not there."""
    same = set(strange) & set(absent)
    changed = sorted(same)
    strange, absent = [one for one in strange if one not in same], [one for one in absent if one not in same]
    changed += absent[: len(strange)]
    left, strange = absent[len(strange) :], strange[len(absent) :]
    troubles = [Trouble("CHANGED", place) for place in changed]
    if at_end and readable_end == count - 1:
        left = []  # The end was only pushed out of sight by what was put in before.
    cut = at_end and left == list(range(count - len(left), count)) and readable_end < count - len(left)
    troubles += [Trouble("CUT" if cut else "MISSING", place) for place in left]
    return troubles + [Trouble("INSERTED", place, place) for place in strange]


def _longest_increasing(origins: Sequence[int]) -> set[int]:
    """Places of the longest run of facts that are in their right order: what is outside was moved."""
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(origins)
    for at, origin in enumerate(origins):
        if origin < 0:
            continue
        length = bisect_left(tails, origin)
        if length == len(tails):
            tails.append(origin)
            ends.append(at)
        else:
            tails[length], ends[length] = origin, at
        before[at] = ends[length - 1] if length else -1
    kept: set[int] = set()
    at = ends[-1] if ends else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return kept
