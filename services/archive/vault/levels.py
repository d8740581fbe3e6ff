"""The tree over the facts of one segment, with every perfect subtree in memory: roots of any size cost a few hashes."""

from collections.abc import Sequence

from services.archive.merkle import node_hash


class Levels:
    """levels[k][i]: hash of the perfect subtree over leaves [i << k, (i + 1) << k) of the segment."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.push(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def push(self, leaf: bytes) -> None:
        level, value = 0, leaf
        while True:
            row = self._levels[level]
            row.append(value)
            if len(row) % 2:
                return
            value = node_hash(row[-2], row[-1])
            level += 1
            if level == len(self._levels):
                self._levels.append([])

    def node(self, level: int, index: int) -> bytes:
        """IndexError when the segment does not reach that far."""
        return self._levels[level][index]
