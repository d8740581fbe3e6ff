"""Reads of the views for comparing them: table entry and the tiles."""

from collections.abc import Sequence

from kernel.postgres import Pool
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


class ViewTables:
    """Through a pool of the service's schema."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rows(self, first: int, last: int) -> Sequence[Row]:
        return [Row(*row) for row in await self._pool.fetch(_ROWS, first, last)]

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        columns = [one[0] for one in wanted], [one[1] for one in wanted]
        return {(row["level"], row["number"]): row["hashes"] for row in await self._pool.fetch(_TILES, *columns)}
