"""Which facts hold markers of texts, and which holds there are."""

from collections.abc import Sequence
from typing import NamedTuple

from access.fold import EVERYWHERE
from kernel.postgres import Pool
from modelog.archive.v1 import erasures_pb2 as erasures
from modelog.archive.v1.types_pb2 import Hold
from modelog.texts import author_of
from services.archive.filters import Where, below


class Marked(NamedTuple):
    """A fact that holds markers."""

    revision: int
    resource: str
    payload: bytes


class Marks:
    """The copy, as erasing looks at it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def behind(
        self, after: int, upto: int, project: str, scope: erasures.ErasureScope, most: int
    ) -> Sequence[Marked]:
        """Facts of the scope that hold markers, in order of the log."""
        where = Where()
        where.add("revision > {} and revision <= {}", after, upto)
        if project != EVERYWHERE:
            where.add("split_part(subject, '.', 3) = {}", project.removeprefix("projects/"))
        match scope.WhichOneof("what"):
            case "author":
                where.add("position({}::bytea in payload) > 0", f"text:{author_of(scope.author)}:".encode())
            case "resource":
                below(where, [scope.resource])
            case "facts":
                where.add("revision = any({}::bigint[])", list(scope.facts.revisions))
        where.add("position({}::bytea in payload) > 0", b"text:")
        sql = f"select revision, resource, payload from entry where {where} order by revision limit {int(most)}"
        return [Marked(*row) for row in await self._pool.fetch(sql, *where.parameters)]

    async def holds(self) -> Sequence[Hold]:
        return [Hold.FromString(row[0]) for row in await self._pool.fetch("select body from hold order by name")]
