"""The Merkle tree of RFC 6962 (and RFC 9162) over the log's payloads: leaf index = revision - 1. Pure.

Proofs are first planned as spans of leaves, so that the shell can fetch what they need in one query, and then hashed
from whatever gives the hash of a perfect subtree.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

Span = tuple[int, int]  # Leaves [low, high) under one node of the tree.
Node = tuple[int, int]  # (level, index): the perfect subtree over leaves [index << level, (index + 1) << level).
NodeHash = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(payload: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + payload).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def perfect(span: Span) -> list[Node]:
    """The perfect subtrees that make up a node's span, left to right."""
    low, high = span
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def span_hash(span: Span, node: NodeHash) -> bytes:
    """Hash of the node over a span, from the hashes of its perfect subtrees."""
    parts = [node(level, index) for level, index in perfect(span)]
    return fold_right(parts)


def fold_right(parts: Sequence[bytes]) -> bytes:
    """Joins the perfect subtrees of one span, largest first, into the hash above them."""
    if not parts:
        return EMPTY_ROOT
    result = parts[-1]
    for part in reversed(parts[:-1]):
        result = node_hash(part, result)
    return result


def spans_of(nodes: Iterable[Node]) -> list[Span]:
    """The leaves under each of these nodes."""
    return [(index << level, (index + 1) << level) for level, index in nodes]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1: the siblings from the leaf upwards. 0 <= index < size."""
    spans = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2. 0 < old <= new."""
    spans = []
    low, high = 0, new
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    if low > 0:
        spans.append((low, high))
    return spans[::-1]


def aligned(low: int, high: int) -> list[Node]:
    """The fewest perfect subtrees that, appended one by one to a tree of `low` leaves, make one of `high`."""
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        if low:
            level = min(level, (low & -low).bit_length() - 1)
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root an inclusion proof leads to (RFC 9162 section 2.1.3.2), None when the proof has the wrong length."""
    if not 0 <= index < size:
        return None
    last, result = size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            result = node_hash(sibling, result)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        index, last = index >> 1, last >> 1
    return result if last == 0 else None


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the smaller tree begins the larger one (RFC 9162 section 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new or not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_hash = new_hash = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_hash, new_hash = node_hash(part, old_hash), node_hash(part, new_hash)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_hash = node_hash(new_hash, part)
        first, last = first >> 1, last >> 1
    return last == 0 and old_hash == old_root and new_hash == new_root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes, for trees small enough to hold."""
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        level, current = 0, leaf
        while stack and stack[-1][0] == level:
            current = node_hash(stack.pop()[1], current)
            level += 1
        stack.append((level, current))
    return fold_right([part for _, part in stack])
