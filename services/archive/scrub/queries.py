"""Reads of the views for comparing them: table entry, the tiles, and every kind of resource the archive folds."""

from collections.abc import Sequence
from typing import Any

from kernel.fold import Kind
from kernel.postgres import Pool, quoted
from services.archive.reading import Row
from services.archive.tiles import TileId

_ROWS = (
    "select revision, subject, payload, resource, event_type, actor, correlation_id, recorded_at, happened_at"
    " from entry where revision between $1 and $2 order by revision"
)
_TILES = (
    "select level, number, hashes from tile"
    " where (level, number) in (select * from unnest($1::smallint[], $2::bigint[]))"
)
_REQUESTS = "select id, digest, name, revision, generation from request where revision <= $1"


class ViewTables:
    """Through a pool of the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rows(self, first: int, last: int) -> Sequence[Row]:
        return [Row(*row) for row in await self._pool.fetch(_ROWS, first, last)]

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        columns = [one[0] for one in wanted], [one[1] for one in wanted]
        return {(row["level"], row["number"]): row["hashes"] for row in await self._pool.fetch(_TILES, *columns)}

    async def newest(self, kind: Kind, upto: int) -> list[tuple[Any, ...]]:
        """name, revision, body of each resource whose last fact is not behind `upto`."""
        rows = await self._pool.fetch(
            f"select name, revision, body from {quoted(kind.table)} where revision <= $1", upto
        )
        return [tuple(row) for row in rows]

    async def former(self, kind: Kind, upto: int) -> list[tuple[Any, ...]]:
        """name, revision, recorded_at, body after each fact up to `upto`."""
        history = quoted(kind.table + "_history")
        rows = await self._pool.fetch(
            f"select name, revision, recorded_at, body from {history} where revision <= $1", upto
        )
        return [tuple(row) for row in rows]

    async def requests(self, upto: int) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._pool.fetch(_REQUESTS, upto)]
