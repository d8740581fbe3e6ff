"""Escalates alerts that nobody has acknowledged in time, and tells of those whose silences are over.

Once: the fact that opened an alert, or changed it last, makes one request.
"""

import asyncio
from functools import partial

from kernel.cause import Cause
from kernel.errors import Conflict, Refusal, Unavailable
from kernel.logs import structlog
from kernel.names import project_of
from kernel.rooms import Rooms
from kernel.transact import Decide
from modelog.type.v1.principal_pb2 import Principal
from services.monitoring import queries
from services.monitoring.domain import ALERT, alert

_log = structlog.get_logger()
_AT_A_TIME = 100
_ACTOR = Principal(id="services/monitoring", auth_method="controller")


class Escalations:
    """`run()` looks at every tick, for ever."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def run(self) -> None:
        while True:
            await self.escalate()
            await self.unsilence()
            await asyncio.sleep(self._rooms.settings.tick_seconds)

    async def escalate(self) -> None:
        now = self._rooms.clock()
        for name, revision in await queries.overdue_alerts(self._rooms.pool, now, _AT_A_TIME):
            silences = await queries.silences(self._rooms.pool, project_of(name), now)
            verb = partial(alert.escalate_overdue, silences=silences, now=now)
            cause = self._cause(f"escalate/{name}/{revision}", "nobody has acknowledged it in time")
            await self._write(name, cause, verb)

    async def unsilence(self) -> None:
        """Looks at the views first, since most silences go on."""
        now = self._rooms.clock()
        for quiet in await queries.quiet_alerts(self._rooms.pool):
            silences = await queries.silences(self._rooms.pool, project_of(quiet.name), now)
            verb = partial(alert.unsilence, silences=silences, now=now)
            if verb(quiet) is not None:
                cause = self._cause(f"unsilence/{quiet.name}/{quiet.revision}", "its silences are over")
                await self._write(quiet.name, cause, verb)

    def _cause(self, request_id: str, reason: str) -> Cause:
        return Cause(actor=_ACTOR, request_id=request_id, now=self._rooms.clock(), reason=reason)

    async def _write(self, name: str, cause: Cause, verb: Decide) -> None:
        try:
            await self._rooms.transact(ALERT, name, cause, verb)
        except (Unavailable, Conflict):
            raise
        except Refusal as refusal:
            _log.warning("alert_left", alert=name, reason=refusal.reason)
