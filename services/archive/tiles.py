"""The tree's hashes in tiles of 256 (C2SP tlog-tiles, height 8): one row holds what 256 rows would. Pure.

Tile (L, n) holds, 32 bytes each, the perfect subtrees of level 8 L with indices 256 n .. 256 n + 255, as far as the
tree has grown. Hashes between two levels of tiles are computed from the lower one when a proof wants them.
"""

from collections.abc import Iterable, Mapping

from services.archive.merkle import Node, NodeHash, Span, fold_right, node_hash, perfect

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_BYTES = 32

TileId = tuple[int, int]  # (level, number).


def tile_of(node: Node) -> TileId:
    """The tile from which a node's hash comes."""
    level, index = node
    return level // HEIGHT, index >> (HEIGHT - level % HEIGHT)


def tiles_for(spans: Iterable[Span]) -> set[TileId]:
    """Every tile that the hashes of these spans need."""
    return {tile_of(node) for span in spans for node in perfect(span)}


def edge(size: int) -> list[TileId]:
    """The tiles at the right edge of a tree that are begun but not full, lowest first."""
    tiles = []
    level, width = 0, size
    while width:
        if width % WIDTH:
            tiles.append((level, width // WIDTH))
        width //= WIDTH
        level += 1
    return tiles


def extend(begun: Mapping[TileId, bytes], size: int, leaves: Iterable[bytes]) -> dict[TileId, bytes]:
    """Every tile that changes when leaf hashes follow a tree of `size`; `begun` holds the tiles of `edge(size)`."""
    changed: dict[TileId, bytearray] = {}

    def put(level: int, index: int, value: bytes) -> None:
        number, offset = divmod(index, WIDTH)
        tile = changed.get((level, number))
        if tile is None:
            tile = changed[level, number] = bytearray(begun[level, number] if offset else b"")
        if len(tile) != offset * HASH_BYTES:
            raise ValueError(f"tile {level}/{number} has {len(tile)} bytes where {offset * HASH_BYTES} were written")
        tile += value
        if offset == WIDTH - 1:
            put(level + 1, number, _subtree(bytes(tile)))

    for index, leaf in enumerate(leaves, size):
        put(0, index, leaf)
    return {tile: bytes(hashes) for tile, hashes in changed.items()}


def node_from(tiles: Mapping[TileId, bytes]) -> NodeHash:
    """Looks node hashes up in tiles. KeyError when a tile is missing, ValueError when it is too short."""

    def node(level: int, index: int) -> bytes:
        tile = tiles[tile_of((level, index))]
        count = 1 << (level % HEIGHT)
        start = (index << (level % HEIGHT)) % WIDTH * HASH_BYTES
        hashes = tile[start : start + count * HASH_BYTES]
        if len(hashes) != count * HASH_BYTES:
            raise ValueError(f"tile {tile_of((level, index))} ends before node {level}/{index}")
        return _subtree(hashes)

    return node


def _subtree(hashes: bytes) -> bytes:
    """Root over a power of two of hashes, joined end to end."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return fold_right(row)
