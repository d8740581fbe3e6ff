"""The one path of every read: wait for at_least, take the current or a former row, answer its bytes as they are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kernel import tables
from kernel.batching import Batcher
from kernel.errors import NotFound, invalid_field
from kernel.fields import Searchable
from kernel.fold import Kind
from kernel.log import Log
from kernel.page_tokens import opened, sealed
from kernel.position import Position
from kernel.postgres import Pool
from kernel.searching import Searches
from kernel.wire import listing
from modelog.type.v1.read_pb2 import ReadOptions

PAGE_SIZE = 50
_MOST_ROWS = 500
# How long after it was recorded a fact commonly reaches the log: clocks differ, and the way takes its time.
_LATEST = timedelta(seconds=5)
# A name, and until when.
_Then = tuple[str, int | datetime]


class Resources:
    """Reads of folded resources. `read` may be None for "now, whatever the view has"."""

    def __init__(self, pool: Pool, log: Log, position: Position, searchables: Sequence[Searchable] = ()) -> None:
        self._pool = pool
        self._log = log
        self._position = position
        self.searches = Searches(pool, searchables)
        self._batchers: dict[str, Batcher[str, bytes]] = {}
        self._former_batchers: dict[tuple[str, str], Batcher[_Then, bytes]] = {}
        self._whole_until = datetime.min.replace(tzinfo=UTC)

    async def get(self, kind: Kind, name: str, read: ReadOptions | None = None) -> bytes:
        """The stored message of `name`; NotFound with reason <KIND>_NOT_FOUND."""
        body = await self._body(kind, name, read)
        if body is None:
            raise NotFound(kind.not_found_reason, f"there is no {name}{_when(read)}", metadata={"resource": name})
        return body

    async def load(self, kind: Kind, name: str, read: ReadOptions | None = None) -> Any:
        """The message itself, empty when there is none."""
        body = await self._body(kind, name, read)
        return kind.message() if body is None else kind.message.FromString(body)

    async def page(self, kind: Kind, prefix: str, request: Any) -> bytes:
        """A whole List reply: the children below `prefix`, with page_size, page_token and read of the request, and its
        filter and order_by where it has them.

        An id of `-` in the prefix stands for every parent at that place and all places below it.
        """
        bodies, token = await self.page_of(kind, prefix, request)
        return listing(bodies, token)

    async def page_of(self, kind: Kind, prefix: str, request: Any) -> tuple[list[bytes], str]:
        """The stored messages of one page and the token of the next; the token belongs to this very query."""
        low = prefix.partition("-/")[0] if "/-/" in prefix else prefix
        read: ReadOptions = request.read
        if getattr(request, "filter", "") or getattr(request, "order_by", ""):
            await self.settle(read)
            return await self.searches.page(kind, low, request)
        size = min(request.page_size or PAGE_SIZE, _MOST_ROWS)
        query = f"{kind.table} {prefix} {read.as_of_revision} {read.as_of_time.ToMicroseconds()}"
        after = opened(request.page_token, query) if request.page_token else low
        await self.settle(read)
        high = low[:-1] + chr(ord(low[-1]) + 1)
        as_of = read.WhichOneof("as_of")
        if as_of is None:
            sql, arguments = tables.select_page(kind), [after, high, size + 1]
        elif as_of == "as_of_revision":
            sql = tables.select_page_as_of(kind, "revision")
            arguments = [after, high, size + 1, read.as_of_revision]
        else:
            sql = tables.select_page_as_of(kind, "recorded_at")
            arguments = [after, high, size + 1, moment_of(read)]
        rows = await self.fetch(sql, *arguments)
        token = sealed(rows[size - 1]["sort"], query) if len(rows) > size else ""
        return [row["body"] for row in rows[:size]], token

    @property
    def reached(self) -> int:
        """The revision that the views have reached, as far as this process knows."""
        return self._position.revision

    async def settle(self, read: ReadOptions) -> None:
        """Waits until the views can answer a read for good.

        They hold `at_least`, the revision it is about, and all that was recorded by the time it is about.
        """
        await self.wait(max(read.at_least, read.as_of_revision))
        if read.HasField("as_of_time") and moment_of(read) > self._whole_until:
            began = datetime.now(UTC)
            await self.catch_up()
            self._whole_until = max(self._whole_until, began - _LATEST)

    async def wait(self, revision: int) -> None:
        """Waits until the views have reached the revision; the call's deadline bounds it."""
        await self._position.wait(revision)

    async def catch_up(self) -> int:
        """Waits until the views hold everything that is in the log now; returns that revision."""
        head = await self._log.head()
        await self._position.wait(head)
        return head

    async def frozen(self) -> int:
        """How many resources are quarantined."""
        return int((await self.fetch("select count(*) from quarantine"))[0][0])

    async def _body(self, kind: Kind, name: str, read: ReadOptions | None) -> bytes | None:
        kind.pattern.ids(name)
        if read is None:
            return await self._current(kind, name)
        await self.settle(read)
        as_of = read.WhichOneof("as_of")
        if as_of is None:
            return await self._current(kind, name)
        if as_of == "as_of_revision":
            return await self._former(kind, "revision", "bigint").get((name, read.as_of_revision))
        return await self._former(kind, "recorded_at", "timestamptz").get((name, moment_of(read)))

    def _former(self, kind: Kind, column: str, type_: str) -> Batcher[_Then, bytes]:
        """Looks up what was at a name by a revision or a time."""
        key = (kind.table, column)
        if key not in self._former_batchers:
            sql = tables.select_former(kind, column, type_)

            async def fetch(asked: Sequence[_Then]) -> Mapping[_Then, bytes]:
                rows = await self.fetch(sql, [one[0] for one in asked], [one[1] for one in asked])
                return {(row[0], row[1]): row[2] for row in rows}

            self._former_batchers[key] = Batcher(fetch)
        return self._former_batchers[key]

    async def _current(self, kind: Kind, name: str) -> bytes | None:
        batcher = self._batchers.get(kind.table)
        if batcher is None:
            batcher = self._batchers[kind.table] = Batcher(lambda names: self._rows(kind, names))
        return await batcher.get(name)

    async def _rows(self, kind: Kind, names: Sequence[str]) -> Mapping[str, bytes]:
        return {row[0]: row[1] for row in await self.fetch(tables.select_many(kind), names)}

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """Rows of the views; for what stands beside this in the kernel."""
        return await self._pool.fetch(sql, *arguments)


def refuse_past(read: ReadOptions, what: str) -> None:
    """For the few reads that have no past; Invalid with AS_OF_UNSUPPORTED."""
    if read.WhichOneof("as_of"):
        raise invalid_field("read", f"{what} has no as_of; leave it out", "AS_OF_UNSUPPORTED")


def _when(read: ReadOptions | None) -> str:
    if read is None or read.WhichOneof("as_of") is None:
        return ""
    if read.as_of_revision:
        return f" as of revision {read.as_of_revision}"
    return f" as of {read.as_of_time.ToJsonString()}"


def moment_of(read: ReadOptions) -> datetime:
    """The time a read is about, aware; the door lets no other in than calendars have."""
    moment: datetime = read.as_of_time.ToDatetime(tzinfo=UTC)
    return moment
