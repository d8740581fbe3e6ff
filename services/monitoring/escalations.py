"""Escalates alerts that nobody has acknowledged in time: once, for the fact that opened one makes one request."""

import asyncio
from functools import partial

from kernel.cause import Cause
from kernel.errors import Conflict, Refusal, Unavailable
from kernel.logs import structlog
from kernel.names import project_of
from kernel.rooms import Rooms
from modelog.type.v1.principal_pb2 import Principal
from services.monitoring import queries
from services.monitoring.domain import ALERT, alert

_log = structlog.get_logger()
_AT_A_TIME = 100
_ACTOR = Principal(id="services/monitoring", auth_method="controller")


class Escalations:
    """`run()` escalates for ever."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def run(self) -> None:
        while True:
            await self.escalate()
            await asyncio.sleep(self._rooms.settings.tick_seconds)

    async def escalate(self) -> None:
        now = self._rooms.clock()
        for name, revision in await queries.overdue_alerts(self._rooms.pool, now, _AT_A_TIME):
            silences = await queries.silences(self._rooms.pool, project_of(name), now)
            cause = Cause(
                actor=_ACTOR,
                request_id=f"escalate/{name}/{revision}",
                now=now,
                reason="nobody has acknowledged it in time",
            )
            try:
                await self._rooms.transact(
                    ALERT, name, cause, partial(alert.escalate_overdue, silences=silences, now=now)
                )
            except (Unavailable, Conflict):
                raise
            except Refusal as refusal:
                _log.warning("alert_not_escalated", alert=name, reason=refusal.reason)
