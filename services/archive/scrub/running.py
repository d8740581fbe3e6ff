"""Comparing again and again in the background, and once when somebody asks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

from kernel.jetstream import ApiError
from kernel.log import Unsettled
from kernel.logs import structlog
from kernel.position import Position
from kernel.postgres import UNREACHABLE
from services.archive.files import read_json, write_json
from services.archive.scrub.findings import Finding, Report, Store
from services.archive.scrub.scrub import Stores, scrub

MOST_FINDINGS = 1000
_TOLD = 20  # Findings in one event of the process's log; the rest is in the file.
_RETRY_SECONDS = 5.0
_SETTLE_SECONDS = 10.0
_LOOK_SECONDS = 0.05

_log = structlog.get_logger()
FOUND = Gauge("modelog_archive_scrub_findings", "What differed when all stores were compared last; 0 when all is well.")
ENDED = Gauge("modelog_archive_scrub_end_seconds", "When all stores were compared last, in seconds since 1970.")


async def settle(stores: Stores, position: Position, revision: int) -> None:
    """Returns once copy and views have reached a revision, or have had the time to."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECONDS):
            while position.revision < revision or await asyncio.to_thread(stores.vault.end) < revision:
                await asyncio.sleep(_LOOK_SECONDS)


async def compare(stores: Stores, known: Callable[[], int], share: float = 1.0) -> Report:
    """Compares; what seems to differ is looked at once more, for files are read while others write them."""
    report = await scrub(stores, known(), share)
    if report.findings:
        report = await scrub(stores, known())
    return report


class Scrubbing:
    """`run()` compares for ever, under the service's fence; the last outcome is in `<data>/scrub/last.json`."""

    def __init__(
        self,
        folder: Path,
        stores: Stores,
        known: Callable[[], int],
        clock: Callable[[], datetime],
        *,
        share: float,
        pause_seconds: float,
    ) -> None:
        self._folder = folder
        self._stores = stores
        self._known = known
        self._clock = clock
        self._share = share
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            try:
                await self.once()
            except (Unsettled, ApiError, *UNREACHABLE) as error:
                _log.warning("scrub_put_off", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await asyncio.sleep(self._pause_seconds)

    async def once(self) -> Report:
        began = self._clock()
        report = await compare(self._stores, self._known, self._share)
        ended = self._clock()
        FOUND.set(len(report.findings))
        ENDED.set(ended.timestamp())
        await asyncio.to_thread(write_json, self._folder / "last.json", _written(report, began, ended))
        if report.findings:
            told = [f"{one.store} {one.code} {one.revision}-{one.last}: {one.message}" for one in report.findings]
            _log.critical("scrub_alarm", count=len(told), findings=told[:_TOLD])
        return report


def _written(report: Report, began: datetime, ended: datetime) -> dict[str, Any]:
    return {
        "begin": began.isoformat(),
        "end": ended.isoformat(),
        "size": report.size,
        "checkpoints": report.checkpoints,
        "count": len(report.findings),
        "findings": [list(one) for one in report.findings[:MOST_FINDINGS]],
    }


def last_outcome(folder: Path) -> dict[str, Any]:
    """As it was written; empty before the first."""
    return read_json(folder / "last.json") or {}


def findings_in(outcome: dict[str, Any]) -> list[Finding]:
    return [Finding(Store(store), *rest) for store, *rest in outcome.get("findings", [])]
