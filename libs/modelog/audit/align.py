"""Says what happened to which fact, by comparing the hashes that should be there with those that are."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence

from modelog.audit.report import Report


def compare(expected: Sequence[bytes], found: Sequence[bytes], first: int, report: Report) -> None:
    """Reports changed, missing, moved and inserted facts; `first` is the revision of expected[0]."""
    places: dict[bytes, deque[int]] = defaultdict(deque)
    for place, leaf in enumerate(expected):
        places[leaf].append(place)
    origins = [places[leaf].popleft() if places.get(leaf) else -1 for leaf in found]
    kept = _longest_increasing(origins)
    moved = {origin: at for at, origin in enumerate(origins) if origin >= 0 and at not in kept}
    for origin, at in sorted(moved.items()):
        text = f"the fact of revision {first + origin} stands at place {first + at}"
        report.found("ENTRY_MOVED", text, revision=first + origin)
    before_found, before_expected = -1, -1
    for at in [*sorted(kept), len(found)]:
        origin = origins[at] if at < len(found) else len(expected)
        strange = [one for one in range(before_found + 1, at) if origins[one] < 0]
        absent = [one for one in range(before_expected + 1, origin) if one not in moved]
        _gap(strange, absent, first, at == len(found), report)
        before_found, before_expected = at, origin


def _gap(strange: Sequence[int], absent: Sequence[int], first: int, at_end: bool, report: Report) -> None:
    """Between two facts that are in place: `strange` places hold what nobody signed, `absent` facts are not there."""
    for origin in absent[: len(strange)]:
        report.found("ENTRY_CHANGED", f"the fact of revision {first + origin} was changed", revision=first + origin)
    for origin in absent[len(strange) :]:
        if at_end:
            report.found("LOG_CUT", f"the facts end before revision {first + origin}", revision=first + origin)
            return
        report.found("ENTRY_MISSING", f"the fact of revision {first + origin} is missing", revision=first + origin)
    for at in strange[len(absent) :]:
        text = f"what stands at place {first + at} is not in the signed log"
        report.found("ENTRY_INSERTED", text, revision=first + at)


def _longest_increasing(origins: Sequence[int]) -> set[int]:
    """Places of the longest run of facts that are in their right order: what is outside was moved."""
    tails: list[int] = []
    places: list[int] = []
    before: list[int] = [-1] * len(origins)
    for at, origin in enumerate(origins):
        if origin < 0:
            continue
        length = bisect_left(tails, origin)
        if length == len(tails):
            tails.append(origin)
            places.append(at)
        else:
            tails[length], places[length] = origin, at
        before[at] = places[length - 1] if length else -1
    kept: set[int] = set()
    at = places[-1] if places else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return kept
