"""Hands batches to consumers and takes them back: each fact at least once, in order as far as the settings ask for it.

A batch is a stretch of the log, not a list of facts: it is read again each time it is handed out, so nothing is kept
twice. It belongs to whoever has its token until its deadline; then the next who asks gets it, before anything new.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kernel.errors import NotAllowedNow
from kernel.rooms import Rooms
from modelog.archive.v1.subscriptions_pb2 import Subscription, SubscriptionSettings
from services.archive.growth import Growth
from services.archive.queries import Copy, Stored
from services.archive.subscriptions import queries
from services.archive.subscriptions.queries import Lease, Place

_DIGITS = 19
# How often is looked for batches that come back, and for what another process of the archive has done.
_FULL_SECONDS = 0.2
_LOOK_SECONDS = 1.0


class Wanted(NamedTuple):
    """What a consumer asks for. seconds: how long it waits."""

    consumer: str
    most: int
    seconds: float


@dataclass(frozen=True)
class Handed:
    """A batch for a consumer; lease is None when there was none."""

    place: Place
    lease: Lease | None = None
    entries: Sequence[Stored] = ()


class Handing:
    """One for the process."""

    def __init__(self, rooms: Rooms, copy: Copy) -> None:
        self._rooms = rooms
        self._kept = rooms.kept
        self._copy = copy

    async def pull(self, load: Callable[[], Awaitable[Subscription]], wanted: Wanted) -> Handed:
        """The next batch. load: the subscription as it is now; refuses when it hands out nothing."""
        clock = asyncio.get_running_loop().time
        until, growth = clock() + wanted.seconds, Growth(self._rooms.position)
        try:
            handed = await self._next(await load(), wanted)
            if handed.lease is None:  # Nothing is only said of all that the log holds.
                await self._rooms.resources.catch_up()
            while handed.lease is None:
                subscription = await load()
                handed = await self._next(subscription, wanted)
                left = until - clock()
                if handed.lease is not None or left <= 0:
                    return handed
                if full(handed.place, subscription):
                    await asyncio.sleep(min(left, _FULL_SECONDS))
                else:
                    await growth.reached(handed.place.looked + 1, min(left, _LOOK_SECONDS))
            return handed
        finally:
            growth.close()

    async def _next(self, subscription: Subscription, wanted: Wanted) -> Handed:
        name = subscription.name
        async with self._kept.acquire() as connection, connection.transaction():
            place = await queries.locked(connection, name, subscription.starts, subscription.from_revision)
            if place.starts != subscription.starts:  # Somebody knows of a later start: look again.
                return Handed(place)
            now = self._rooms.clock()
            late = next((one for one in place.batches if not one.acknowledged and one.deadline <= now), None)
            if late is not None:
                return await self._again(connection, subscription, place, late, wanted, now)
            if full(place, subscription):
                return Handed(place)
            return await self._new(connection, subscription, place, wanted, now)

    async def _again(
        self, connection: Any, subscription: Subscription, place: Place, late: Lease, wanted: Wanted, now: datetime
    ) -> Handed:
        """A batch whose consumer did not come back; it holds what is wanted of its stretch by now."""
        filter_ = subscription.settings.filter
        entries = await self._copy.window(late.first - 1, late.last, filter_, late.last - late.first + 1)
        if not entries:
            return Handed(await queries.acknowledge(connection, subscription.name, place, late.first, now))
        lease = late._replace(
            token=_token(place, late.last),
            consumer=wanted.consumer,
            deadline=now + _within(subscription.settings),
            attempt=late.attempt + 1,
        )
        await queries.hand_out(connection, subscription.name, lease)
        return Handed(place, lease, entries)

    async def _new(
        self, connection: Any, subscription: Subscription, place: Place, wanted: Wanted, now: datetime
    ) -> Handed:
        head, looked = self._rooms.position.revision, place.looked
        entries: Sequence[Stored] = ()
        if looked < head:
            entries, looked = await self._copy.stretch(looked, head, subscription.settings.filter, wanted.most)
            await queries.look(connection, subscription.name, looked)
        place_after = place._replace(looked=looked)
        if not entries:
            return Handed(place_after)
        deadline = now + _within(subscription.settings)
        lease = Lease(place.looked + 1, looked, _token(place, looked), wanted.consumer, deadline, 1)
        await queries.hand_out(connection, subscription.name, lease)
        return Handed(place_after._replace(batches=(*place.batches, lease)), lease, entries)

    async def acknowledge(self, subscription: Subscription, token: str) -> int:
        """The batch is done; the position after it."""
        async with self._kept.acquire() as connection, connection.transaction():
            place = await queries.locked(connection, subscription.name, subscription.starts, subscription.from_revision)
            if _done(place, token):
                return place.position
            mine = _mine(place, token)
            if mine is None:
                raise _lost(subscription)
            after = await queries.acknowledge(connection, subscription.name, place, mine.first, self._rooms.clock())
        return after.position

    async def extend(self, subscription: Subscription, token: str, within_seconds: timedelta) -> datetime:
        """The new deadline of a batch."""
        deadline = self._rooms.clock() + within_seconds
        async with self._kept.acquire() as connection, connection.transaction():
            place = await queries.locked(connection, subscription.name, subscription.starts, subscription.from_revision)
            mine = _mine(place, token)
            if mine is None or mine.acknowledged:
                raise _lost(subscription)
            await queries.extend(connection, subscription.name, mine.first, deadline)
        return deadline

    async def place(self, subscription: Subscription) -> Place:
        """Where it stands, changing nothing."""
        async with self._kept.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            known = await queries.read(connection, subscription.name)
        if known is None or known.starts < subscription.starts:
            return Place(subscription.starts, subscription.from_revision - 1)
        return known

    async def forget(self, name: str) -> None:
        async with self._kept.acquire() as connection:
            await queries.forget(connection, name)


def _mine(place: Place, token: str) -> Lease | None:
    return next((one for one in place.batches if one.token == token), None)


def _lost(subscription: Subscription) -> NotAllowedNow:
    return NotAllowedNow(
        "BATCH_LOST",
        f"{subscription.name} has handed this batch to somebody else since, or was set elsewhere; pull the next one",
    )


def _token(place: Place, last: int) -> str:
    """Says of which start and how far, so that one that comes late is known to be done."""
    return f"{place.starts}.{last}.{secrets.token_urlsafe(9)}"


def _done(place: Place, token: str) -> bool:
    """Whether everything the token stands for was acknowledged, by whomever."""
    starts, _, rest = token.partition(".")
    last = rest.partition(".")[0]
    if starts == str(place.starts) and last.isdecimal() and len(last) < _DIGITS and int(last) <= place.position:
        return True
    mine = _mine(place, token)
    return mine is not None and mine.acknowledged


def full(place: Place, subscription: Subscription) -> bool:
    """Whether as many batches as may be are with consumers."""
    return sum(not one.acknowledged for one in place.batches) >= int(subscription.settings.max_batches)


def _within(settings: SubscriptionSettings) -> timedelta:
    return settings.acknowledge_within.ToTimedelta()
