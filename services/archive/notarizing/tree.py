"""The tree over the log in files, as C2SP tlog-tiles has them: `tile/<level>/<number>`, partial ones `.p/<width>`.

Full tiles are never written again with other bytes. `size.json` is written last: what lies beyond it after a crash is
not counted, and is written again from the log.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from services.archive.files import read_json, sync_folder, write_atomically
from services.archive.merkle import span_hash
from services.archive.tiles import HASH_BYTES, WIDTH, TileId, edge, extend, node_from, tiles_for

_SIZE = "size.json"


class TreeDamaged(Exception):
    """A tile is not there, or is not as long as it was written."""


class TreeFiles:
    """One writer. Blocking, but for `root`, which is as the notary asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: dict[TileId, bytes] = {}
        self.size = 0

    def open(self) -> None:
        """Takes up where it ended. TreeDamaged when that cannot be read."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.size = int((read_json(self._folder / _SIZE) or {"size": 0})["size"])
        self._begun = {tile: self._read(tile) for tile in edge(self.size)}

    def append(self, leaves: Sequence[bytes]) -> None:
        """Leaf hashes behind the last one. OSError when the disk is full or broken; then nothing has changed."""
        changed = extend(self._begun, self.size, leaves)
        folders = set()
        for (level, number), hashes in sorted(changed.items()):
            path = self._path(level, number, len(hashes) // HASH_BYTES)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, hashes, 0o444)
            folders.add(path.parent)
        for folder in folders:
            sync_folder(folder.parent)
        size = self.size + len(leaves)
        write_atomically(self._folder / _SIZE, (json.dumps({"size": size}) + "\n").encode())
        self._drop_partial(size, changed)
        self.size = size
        self._begun = {tile: changed.get(tile, self._begun.get(tile, b"")) for tile in edge(size)}

    async def root(self, size: int) -> bytes:
        """Root over the first `size` leaves; KeyError when the tree does not reach that far."""
        if size > self.size:
            raise KeyError(f"the tree has {self.size} leaves")
        try:
            return span_hash((0, size), node_from({tile: self._read(tile) for tile in tiles_for([(0, size)])}))
        except TreeDamaged as damaged:
            raise KeyError(str(damaged)) from damaged

    def leaves(self, first: int, last: int) -> list[bytes]:
        """Leaf hashes with indices first <= index < last. TreeDamaged."""
        found = []
        for number in range(first // WIDTH, -(-last // WIDTH)):
            tile = self._read((0, number))
            rows = range(max(first - number * WIDTH, 0), min(last - number * WIDTH, WIDTH))
            found += [tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in rows]
        return found

    def _read(self, tile: TileId) -> bytes:
        level, number = tile
        width = min((self.size >> (8 * level)) - number * WIDTH, WIDTH)
        try:
            content = self._path(level, number, width).read_bytes()
        except OSError as error:
            raise TreeDamaged(f"tile {level}/{number} cannot be read: {error}") from error
        if len(content) != width * HASH_BYTES:
            raise TreeDamaged(f"tile {level}/{number} has {len(content)} bytes where {width * HASH_BYTES} were written")
        return content

    def _path(self, level: int, number: int, width: int) -> Path:
        name = self._folder / "tile" / str(level) / grouped(number)
        return name if width == WIDTH else name.with_name(f"{name.name}.p") / str(width)

    def _drop_partial(self, size: int, changed: Mapping[TileId, bytes]) -> None:
        """Partial tiles that wider ones have taken the place of."""
        for level, number in changed:
            width = min((size >> (8 * level)) - number * WIDTH, WIDTH)
            kept = self._path(level, number, width)
            folder = self._path(level, number, 1).parent
            for old in folder.iterdir() if folder.exists() else _NONE:
                if old != kept and old.name.isdecimal():
                    old.unlink()


_NONE: Iterable[Path] = ()


def grouped(number: int) -> str:
    """1234067 as `x001/x234/067`, by which a folder holds a thousand entries at most."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03d}")
    return "/".join(parts)
