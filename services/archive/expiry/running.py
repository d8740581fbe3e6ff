"""Looks through the sealed records day by day and records which of them have expired."""

import asyncio
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from kernel.cause import Cause
from kernel.errors import Conflict, Refusal, Unavailable
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.archive.v1.retentions_pb2 import KnownVersion, Retention
from modelog.archive.v1.types_pb2 import Record
from modelog.type.v1.principal_pb2 import Principal
from services.archive.domain import KNOWN_VERSION, RECORD, RETENTION
from services.archive.domain.expiring import Standing, Verdict, expire, judge
from services.archive.expiry.standing import projects_with_rules, records_of, standing_of, versions_of
from services.archive.parts import Parts
from services.archive.sealing.erasing import Unreadable, erasable

_log = structlog.get_logger()
_ACTOR = Principal(id="services/archive", auth_method="controller")
_AGAIN_SECONDS = 60.0


class Expiry:
    """`run()` under the service's fence, so that one process at a time looks. Erasing is left to the reaction."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._store = Parts(rooms).store

    async def run(self) -> None:
        """Once at the start, then after each pause, for ever."""
        pause: float = self._rooms.settings.expiry_pause_seconds
        while pause > 0:
            try:
                await self.look()
            except (Unavailable, Conflict) as error:
                _log.warning("expiry_waits", reason=error.reason, message=error.message)
                await asyncio.sleep(min(_AGAIN_SECONDS, pause))
            else:
                await asyncio.sleep(pause)

    async def look(self) -> int:
        """How many records expired, by the clock of now."""
        resources, now, count = self._rooms.resources, self._rooms.clock(), 0
        await resources.catch_up()
        for project in await projects_with_rules(resources):
            standing = await standing_of(resources, project)
            async for records in records_of(resources, project):
                versions = await versions_of(resources, records)
                for record, version in zip(records, versions, strict=True):
                    await asyncio.sleep(0)  # There may be thousands, and others want to be answered meanwhile.
                    verdict = judge(record, version, standing)
                    if verdict.is_due(now):
                        count += await self._expire(record, verdict, standing, now)
        return count

    async def _expire(self, record: Record, verdict: Verdict, standing: Standing, now: datetime) -> bool:
        try:
            contents = self._store.open(record.manifest_sha256)
            paths = await asyncio.to_thread(erasable, contents, record.manifest_sha256)
        except Unreadable as error:  # Somebody has to look: `records verify` says the same.
            _log.error("record_cannot_expire", record=record.name, message=str(error))
            return False

        def decide(newest: Record, version: KnownVersion, rule: Retention) -> Message | None:
            rules = [rule if one.name == rule.name else one for one in standing.rules]
            return expire(newest, version, standing=Standing(rules, standing.holds), now=now, paths=paths)

        cause = Cause(
            actor=_ACTOR,
            request_id=f"expire/{record.name}/{record.generation}",
            now=now,
            reason=f"kept as long as {verdict.rule} says",
        )
        reads: tuple[tuple[Any, str], ...] = ((KNOWN_VERSION, record.version), (RETENTION, verdict.rule))
        try:
            return (await self._rooms.transact(RECORD, record.name, cause, decide, reads=reads)).recorded
        except (Unavailable, Conflict):
            raise
        except Refusal as refusal:
            _log.warning("expiry_left", record=record.name, reason=refusal.reason, message=refusal.message)
            return False
