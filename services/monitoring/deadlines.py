"""What the clock decides about retrainings and versions: claims that expire, deadlines that pass, proposals to retire.

Once: the lease, the deadline or the alert makes one request.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial

from kernel.cause import Cause
from kernel.errors import Conflict, Refusal, Unavailable
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.principal_pb2 import Principal
from services.monitoring.domain import ALERT, MONITOR, RETIREMENT, RETRAINING, retirement, retraining
from services.monitoring.queue import queries

_log = structlog.get_logger()
_AT_A_TIME = 100
_ACTOR = Principal(id="services/monitoring", auth_method="controller")


class Deadlines:
    """`run()` looks at every tick, for ever."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._rooms.settings.tick_seconds)

    async def look(self) -> None:
        now, pool = self._rooms.clock(), self._rooms.pool
        for name, lease in await queries.expired_claims(pool, now, _AT_A_TIME):
            cause = self._cause(f"release/{name}/{lease.timestamp()}", "its claim has expired")
            await self._try(self._rooms.transact(RETRAINING, name, cause, partial(retraining.expire, now=now)), name)
        for name in await queries.overdue(pool, now, _AT_A_TIME):
            cause = self._cause(f"miss/{name}", "nobody has answered it in time")
            await self._try(self._rooms.transact(RETRAINING, name, cause, partial(retraining.miss, now=now)), name)
        for name in await queries.watched_alerts(pool):
            await self._propose(name)

    async def _propose(self, alert: str) -> None:
        """Looks at the views first, since most alerts are not due."""
        now, monitor = self._rooms.clock(), alert.rpartition("/alerts/")[0]
        known: types.Alert = await self._rooms.resources.load(ALERT, alert)
        watching: types.Monitor = await self._rooms.resources.load(MONITOR, monitor)
        if not retirement.is_due(known, watching, now):
            return
        cause = self._cause(f"retire/{alert}", f"{alert} has been open for too long")
        verb = partial(retirement.propose, now=now)
        reads = ((ALERT, alert), (MONITOR, monitor))
        await self._try(self._rooms.transact.create_numbered(RETIREMENT, monitor, cause, verb, reads=reads), alert)

    def _cause(self, request_id: str, reason: str) -> Cause:
        return Cause(actor=_ACTOR, request_id=request_id, now=self._rooms.clock(), reason=reason)

    async def _try(self, write: Awaitable[object], name: str) -> None:
        try:
            await write
        except (Unavailable, Conflict):
            raise
        except Refusal as refusal:
            _log.warning("deadline_left", resource=name, reason=refusal.reason)
