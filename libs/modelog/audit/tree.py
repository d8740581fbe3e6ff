"""The Merkle tree of RFC 6962, grown leaf by leaf."""

import hashlib
from collections.abc import Sequence

_sha256 = hashlib.sha256


def leaf_hash(payload: bytes) -> bytes:
    return _sha256(b"\x00" + payload).digest()


class Tree:
    """A growing tree that keeps only the perfect subtrees at its right edge: at most 64 hashes."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    @property
    def parts(self) -> Sequence[bytes]:
        """What the tree goes on from: the roots of the perfect subtrees it is made of, largest first."""
        return tuple(self._parts)

    def push(self, part: bytes, level: int = 0) -> None:
        """Appends a leaf hash, or the hash of a perfect subtree that starts where the tree ends."""
        carry = self.size >> level
        if self.size & ((1 << level) - 1):
            raise ValueError(f"a subtree of {1 << level} leaves cannot start at {self.size}")
        self.size += 1 << level
        while carry & 1:
            part = _sha256(b"\x01" + self._parts.pop() + part).digest()
            carry >>= 1
        self._parts.append(part)

    def root(self) -> bytes:
        if not self._parts:
            return _sha256().digest()
        result = self._parts[-1]
        for part in reversed(self._parts[:-1]):
            result = _sha256(b"\x01" + part + result).digest()
        return result


def push_left(tree: Tree, hashes: Sequence[bytes], count: int) -> None:
    """Everything before the first exported leaf: one hash per bit of `count`, largest first."""
    levels = [level for level in reversed(range(count.bit_length())) if count >> level & 1]
    for level, part in zip(levels, hashes, strict=True):
        tree.push(part, level)


def push_right(tree: Tree, hashes: Sequence[bytes], size: int) -> None:
    """Everything behind the last exported leaf: the fewest perfect subtrees that make the tree `size`."""
    for part in hashes:
        level = (size - tree.size).bit_length() - 1
        if tree.size:
            level = min(level, (tree.size & -tree.size).bit_length() - 1)
        if level < 0:
            raise ValueError("more hashes than the tree has room for")
        tree.push(part, level)


def root_by_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; ValueError when the path does not fit (RFC 9162 section 2.1.3.2)."""
    number, last, result = index, size - 1, leaf
    for part in path:
        if last == 0:
            raise ValueError("the path is too long")
        if number & 1 or number == last:
            result = _sha256(b"\x01" + part + result).digest()
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            result = _sha256(b"\x01" + result + part).digest()
        number, last = number >> 1, last >> 1
    if last or index >= size:
        raise ValueError("the path is too short")
    return result
