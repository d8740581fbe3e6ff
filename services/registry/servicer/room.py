"""What the doors of all resources share."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from access.fold import EVERYWHERE
from kernel.cause import Cause
from kernel.fold import Kind
from kernel.identity import Caller
from kernel.names import project_of
from kernel.rooms import Rooms
from kernel.transact import Decided
from modelog.log.v1.fact_pb2 import Fact
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import PROJECT

_PAGE_SIZE = 500


def actors(cause: Cause) -> list[str]:
    """Who acts, then for whom."""
    return [cause.actor.id, *(one.id for one in cause.on_behalf_of)]


def whose(caller: Caller) -> str:
    """Whom a call is made for in the end: whose list it asks for, and whose watches it sets."""
    return caller.ids[-1]


def access_reads(name: str) -> tuple[tuple[Kind, str], ...]:
    """What a decision on something in a project reads of access: the project's roles and those of all projects."""
    return (PROJECT, project_of(name)), (PROJECT, EVERYWHERE)


def project_read(name: str) -> tuple[tuple[Kind, str], ...]:
    """What a decision reads that only looks at the project."""
    return ((PROJECT, project_of(name)),)


def everywhere_read(project: str) -> tuple[tuple[Kind, str], ...]:
    """What a decision on a project itself reads besides: who owns the accounts of all projects."""
    return () if project == EVERYWHERE else ((PROJECT, EVERYWHERE),)


class Room:
    def __init__(self, rooms: Rooms) -> None:
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._pool = rooms.pool
        self._kept = rooms.kept
        self._log = rooms.log

    async def _after(self, kind: Kind, decided: Decided) -> Any:
        """The resource as the write left it, also when the answer is that of an earlier, equal request.

        After a dry run it is empty: nothing was left behind.
        """
        if not decided.revision:
            return kind.message()
        if decided.state is not None:
            return decided.state
        return await self._resources.load(kind, decided.name, ReadOptions(as_of_revision=decided.revision))

    async def _all(self, kind: Kind, name: str, read: ReadOptions) -> list[Any]:
        """Every resource of a kind in the project of `name`, as of a moment."""
        asking = SimpleNamespace(page_size=_PAGE_SIZE, page_token="", read=read)
        found: list[Any] = []
        while True:
            prefix = f"{project_of(name)}/{kind.pattern.collection}/"
            bodies, asking.page_token = await self._resources.page_of(kind, prefix, asking)
            found += map(kind.message.FromString, bodies)
            if not asking.page_token:
                return found

    async def _moment(self, read: ReadOptions, now: datetime) -> datetime:
        """The moment a read is about, at which roles are judged: they may have run out since, or not yet."""
        match read.WhichOneof("as_of"):
            case "as_of_time":
                return read.as_of_time.ToDatetime(UTC)
            case "as_of_revision":
                entry = await self._log.next("lifecycle.>", read.as_of_revision - 1)
                return now if entry is None else Fact.FromString(entry.payload).recorded_at.ToDatetime(UTC)
        return now
