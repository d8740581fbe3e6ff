"""Compares the views with what the log makes of them: again and again in the background, and when somebody asks."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import asyncpg

from kernel import telemetry
from kernel.jetstream import ApiError
from kernel.log import Hole, Log, Unsettled
from kernel.logs import structlog
from kernel.postgres import UNREACHABLE, Pool, create_pool
from kernel.rebuilt import Changing, Differences, LogEnds, Rebuilt
from kernel.rooms import Blueprint
from kernel.settings import Settings
from modelog.status.v1.comparisons_pb2 import ViewComparison

_SILENCE_SECONDS = 15.0
_RETRY_SECONDS = 30.0
_NEAR = 2000  # Facts that are folded while the snapshot is held.
_TOLD = 20  # Findings in one event of the process's log; the rest is kept.
_SAVE = "insert into comparison (body) values ($1) on conflict (single) do update set body = excluded.body"
_LAST = "select body from comparison"
# What passes by itself: stores that are away, tables that are being made anew.
PUT_OFF = (Changing, Unsettled, ApiError, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, *UNREACHABLE)

_log = structlog.get_logger()


class Comparing:
    """`run()` compares for ever, under the service's fence. fold: digest of this build's fold."""

    def __init__(
        self,
        blueprint: Blueprint,
        settings: Settings,
        schema: str,
        fold: str,
        log: Log,
        kept: Pool,
        clock: Callable[[], datetime],
        *,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self._blueprint = blueprint
        self._settings = settings
        self._schema = schema
        self._fold = fold
        self._of = log
        self._kept = kept
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._turn = asyncio.Lock()
        self.at = 0  # Up to where the log is folded by the comparison that runs.

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.compare_pause_seconds)
            try:
                await self.once(self._settings.compare_share)
            except PUT_OFF as error:
                _log.warning("comparison_put_off", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def once(self, share: float = 1.0) -> ViewComparison:
        """Compares, and keeps what was found. share: of the time that this may take; with 0.1 it rests nine times as
        long as it works. Raises what PUT_OFF names."""
        async with self._turn:
            result = ViewComparison()
            result.begin_time.FromDatetime(self._clock())
            try:
                _tell(result, await self._compared(share))
            except Hole as hole:
                result.alarm_reason, result.alarm_message = "LOG_HOLE", f"{hole}: restore it from the archive's copy"
            except LogEnds as ends:
                result.alarm_reason, result.alarm_message = "LOG_SHRUNK", str(ends)
            ended = self._clock()
            result.end_time.FromDatetime(ended)
            await self._kept.execute(_SAVE, result.SerializeToString(deterministic=True))
        telemetry.DIFFERENT.set(result.finding_count or bool(result.alarm_reason))
        telemetry.COMPARED.set(ended.timestamp())
        if result.finding_count or result.alarm_reason:
            told = [f"{one.table} {one.reason} {one.name} {one.revision}: {one.message}" for one in result.findings]
            _log.critical("views_alarm", count=result.finding_count, findings=told[:_TOLD], log=result.alarm_message)
        return result

    async def last(self) -> ViewComparison:
        """How the last one ended, in whichever process; empty before the first."""
        return ViewComparison.FromString(await self._kept.fetchval(_LAST) or b"")

    async def _compared(self, share: float) -> Differences:
        name = f"modelog-{self._blueprint.name}-rebuilt"
        pool = await create_pool(self._settings.postgres_url, schema=self._schema, name=name, size=1)
        try:
            async with pool.acquire() as connection:
                given = self._blueprint, self._schema, self._fold, self._of, connection
                rebuilt = Rebuilt(*given, silence_seconds=self._silence_seconds)
                try:
                    return await self._rebuilt(rebuilt, share)
                finally:
                    await rebuilt.close()
        finally:
            pool.terminate()

    async def _rebuilt(self, rebuilt: Rebuilt, share: float) -> Differences:
        loop = asyncio.get_running_loop()
        await rebuilt.open()
        while await rebuilt.behind() > _NEAR:
            began = loop.time()
            await rebuilt.fold_on()
            self.at = rebuilt.at
            await asyncio.sleep((loop.time() - began) * (1 / share - 1))
        result = await rebuilt.compare()
        self.at = result.revision
        return result


def _tell(result: ViewComparison, differences: Differences) -> None:
    result.revision, result.table_count = differences.revision, differences.tables
    result.row_count, result.finding_count = differences.rows, differences.differing
    for one in differences.found:
        result.findings.add(
            table=one.table, reason=one.reason, name=one.name, revision=one.revision, message=one.message
        )
