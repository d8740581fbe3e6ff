"""Where the consumers of a subscription stand: tables `subscription_place` and `subscription_batch` in <schema>_kept.

Whoever changes a place holds its row locked, so that any process of the archive may serve any consumer.
"""

from datetime import datetime
from typing import Any, NamedTuple

_LOCK = "select starts, looked from subscription_place where name = $1 for update"
_OPEN = "insert into subscription_place (name, starts, looked) values ($1, $2, $3) on conflict (name) do nothing"
_BATCH = "select first, last, token, consumer, deadline, attempt, acknowledged from subscription_batch"
_INSERT = (
    "insert into subscription_batch (name, first, last, token, consumer, deadline, attempt)"
    " values ($1, $2, $3, $4, $5, $6, $7)"
)


class Lease(NamedTuple):
    """One row of subscription_batch: everything from first to last was looked at for it."""

    first: int
    last: int
    token: str
    consumer: str
    deadline: datetime
    attempt: int
    acknowledged: bool = False


class Place(NamedTuple):
    """A place as it is; batches by revision."""

    starts: int
    looked: int
    batches: tuple[Lease, ...] = ()
    acknowledged_at: datetime | None = None

    @property
    def position(self) -> int:
        """Everything up to here was acknowledged, or is not wanted."""
        return min((one.first - 1 for one in self.batches if not one.acknowledged), default=self.looked)


async def locked(connection: Any, name: str, starts: int, from_revision: int) -> Place:
    """The place, locked until the transaction ends; made, or set to a later start, when it has not been yet."""
    row = await connection.fetchrow(_LOCK, name)
    if row is None:
        await connection.execute(_OPEN, name, starts, from_revision - 1)
        row = await connection.fetchrow(_LOCK, name)
    if row["starts"] < starts:
        await connection.execute("delete from subscription_batch where name = $1", name)
        await connection.execute(
            "update subscription_place set starts = $2, looked = $3 where name = $1", name, starts, from_revision - 1
        )
        return Place(starts, from_revision - 1)
    return Place(row["starts"], row["looked"], await _batches(connection, name))


async def read(connection: Any, name: str) -> Place | None:
    """The place as it is; None before anybody has pulled."""
    row = await connection.fetchrow(
        "select starts, looked, acknowledged_at from subscription_place where name = $1", name
    )
    if row is None:
        return None
    return Place(row["starts"], row["looked"], await _batches(connection, name), row["acknowledged_at"])


async def _batches(connection: Any, name: str) -> tuple[Lease, ...]:
    rows = await connection.fetch(f"{_BATCH} where name = $1 order by first", name)
    return tuple(Lease(*row) for row in rows)


async def look(connection: Any, name: str, upto: int) -> None:
    """Everything up to here has been looked at."""
    await connection.execute("update subscription_place set looked = $2 where name = $1", name, upto)


async def hand_out(connection: Any, name: str, lease: Lease) -> None:
    """The batch is with a consumer; for the first time, or again."""
    if lease.attempt == 1:
        await connection.execute(_INSERT, name, *lease[:-1])
        return
    await connection.execute(
        "update subscription_batch set token = $3, consumer = $4, deadline = $5, attempt = $6"
        " where name = $1 and first = $2",
        *(name, lease.first, lease.token, lease.consumer, lease.deadline, lease.attempt),
    )


async def extend(connection: Any, name: str, first: int, deadline: datetime) -> None:
    await connection.execute(
        "update subscription_batch set deadline = $3 where name = $1 and first = $2", name, first, deadline
    )


async def acknowledge(connection: Any, name: str, place: Place, first: int, now: datetime) -> Place:
    """The place with this batch done; batches below which nothing waits any more are forgotten."""
    batches = tuple(one._replace(acknowledged=one.acknowledged or one.first == first) for one in place.batches)
    after = place._replace(batches=batches)
    position = after.position
    await connection.execute(
        "update subscription_batch set acknowledged = true where name = $1 and first = $2", name, first
    )
    await connection.execute("delete from subscription_batch where name = $1 and last <= $2", name, position)
    await connection.execute("update subscription_place set acknowledged_at = $2 where name = $1", name, now)
    return after._replace(batches=tuple(one for one in batches if one.last > position))


async def forget(connection: Any, name: str) -> None:
    """The subscription is gone."""
    await connection.execute("delete from subscription_place where name = $1", name)
