"""Which of several sequences of hashes is the signed one, and what the others differ in. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.archive.merkle import fold_right, node_hash
from services.archive.scrub.align import differences
from services.archive.scrub.findings import Report, Store

Leaves = Sequence[bytes | None]
# Who is believed first where as many say one thing as another: who is furthest from the hands of those who may edit.
ORDER = (Store.COPY, Store.LOG, Store.TREE, Store.VIEW)
_HASH = 32


class Edge:
    """A growing tree: the perfect subtrees at its right edge."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    def push(self, leaf: bytes) -> None:
        at = self.size
        while at & 1:
            leaf = node_hash(self._parts.pop(), leaf)
            at >>= 1
        self._parts.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        return fold_right(self._parts)


@dataclass
class Blocks:
    """Every fact's hash as the stores have it: once where they agree, for each store where they do not."""

    agreed: dict[int, bytes] = field(default_factory=dict)  # First revision: hashes, joined.
    disputed: dict[int, dict[Store, Leaves]] = field(default_factory=dict)

    def add(self, first: int, told: dict[Store, Leaves]) -> None:
        leaves = told[ORDER[0]]
        if None not in leaves and all(other == leaves for other in told.values()):
            self.agreed[first] = b"".join(one for one in leaves if one is not None)
        else:
            self.disputed[first] = told

    def settle(self, heads: Sequence[tuple[int, bytes]]) -> tuple[dict[int, Leaves], dict[int, bytes]]:
        """What the disputed facts were, and the root at each signed size; `heads` are (size, signed root), ascending.

        By the majority for each fact; where that leads past the signed roots, by whichever store leads furthest.
        """
        best = {first: _majority(told) for first, told in self.disputed.items()}
        roots = self._roots(best, [size for size, _ in heads])
        if self.disputed and any(roots.get(size) != root for size, root in heads):
            for store in ORDER:
                other = {first: _filled(told[store], best[first]) for first, told in self.disputed.items()}
                led = self._roots(other, [size for size, _ in heads])
                if _fitting(led, heads) > _fitting(roots, heads):
                    best, roots = other, led
        return best, roots

    def _roots(self, settled: Mapping[int, Leaves], sizes: Iterable[int]) -> dict[int, bytes]:
        wanted, edge = set(sizes), Edge()
        roots: dict[int, bytes] = {}
        for first in sorted([*self.agreed, *settled]):
            for leaf in self.leaves(first, settled):
                if leaf is None:
                    return roots
                edge.push(leaf)
                if edge.size in wanted:
                    roots[edge.size] = edge.root()
        return roots

    def leaves(self, first: int, settled: Mapping[int, Leaves]) -> Leaves:
        if first in settled:
            return settled[first]
        joined = self.agreed[first]
        return [joined[at : at + _HASH] for at in range(0, len(joined), _HASH)]

    def name_differences(
        self, settled: Mapping[int, Leaves], report: Report, damaged: Mapping[Store, set[int]]
    ) -> None:
        """What was done to which fact in which store; `damaged`: revisions whose place holds something unreadable."""
        for store in ORDER:
            expected: list[bytes] = []
            found: list[bytes | None] = []
            revisions: list[int] = []
            for first in sorted(self.disputed):
                told = self.disputed[first][store]
                if told == settled[first]:
                    continue
                border = b"border %d" % first  # Blocks that are no neighbours must not be taken for such.
                expected += [border, *(leaf or b"nobody knows" for leaf in settled[first])]
                found += [border, *told]
                revisions += [0, *range(first, first + len(told))]
            for code, place, stands_at in differences(expected, found):
                _tell(store, code, revisions[place], revisions[stands_at], damaged.get(store, set()), report)


def _tell(store: Store, code: str, revision: int, stands_at: int, damaged: set[int], report: Report) -> None:
    texts = {
        "MISSING": "the fact is not there",
        "CUT": "everything from here on is not there",
        "CHANGED": "the fact is not the one that was recorded",
        "INSERTED": "what stands here was never recorded",
        "MOVED": f"the fact of this revision stands at {stands_at}",
    }
    if code in ("MISSING", "CUT") and revision in damaged:
        code = "CHANGED"
    report.found(store, code, texts[code], revision)


def _majority(told: Mapping[Store, Leaves]) -> Leaves:
    result: list[bytes | None] = []
    for place in range(max(map(len, told.values()))):
        said = [told[store][place] for store in ORDER if store in told and told[store][place] is not None]
        result.append(Counter(said).most_common(1)[0][0] if said else None)
    return result


def _filled(leaves: Leaves, others: Leaves) -> Leaves:
    return [other if leaf is None else leaf for leaf, other in zip(leaves, others, strict=True)]


def _fitting(roots: Mapping[int, bytes], heads: Sequence[tuple[int, bytes]]) -> int:
    return sum(roots.get(size) == root for size, root in heads)
