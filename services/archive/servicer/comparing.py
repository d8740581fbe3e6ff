"""Comparing all stores on demand, and giving the log a new key."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from kernel.errors import NotAllowedNow, Unavailable
from kernel.rpc import Context
from modelog.archive.v1 import evidence_pb2 as evidence
from modelog.archive.v1 import evidence_requests_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.keys import ask_for_rotation, published
from services.archive.scrub.findings import Finding
from services.archive.scrub.running import MOST_FINDINGS, compare, findings_in, last_outcome
from services.archive.servicer.room import Room

_PROGRESS_SECONDS = 1.0
_ROTATED_SECONDS = 15.0
_LOOK_SECONDS = 0.05


class Comparing(Room):
    async def Scrub(self, request: rpc.ScrubRequest, context: Context) -> AsyncIterator[rpc.ScrubResponse]:
        if request.last:
            outcome = last_outcome(self._parts.settings.scrub_dir)
            found = [_finding(one) for one in findings_in(outcome)]
            yield rpc.ScrubResponse(done=True, summary=self.scrub_summary(), findings=found)
            return
        began = self._rooms.clock()
        task = asyncio.create_task(compare(self._parts.stores, self._parts.known))
        try:
            while not (await asyncio.wait({task}, timeout=_PROGRESS_SECONDS))[0]:
                yield rpc.ScrubResponse()
            report = task.result()
        finally:
            task.cancel()
        summary = evidence.ScrubSummary(
            size=report.size, checkpoint_count=report.checkpoints, finding_count=len(report.findings)
        )
        summary.begin_time.FromDatetime(began)
        summary.end_time.FromDatetime(self._rooms.clock())
        found = [_finding(one) for one in report.findings[:MOST_FINDINGS]]
        yield rpc.ScrubResponse(done=True, summary=summary, findings=found)

    async def RotateLogKey(self, request: rpc.RotateLogKeyRequest, context: Context) -> rpc.RotateLogKeyResponse:
        folder = self._parts.settings.notary_dir
        if self._checkpoints.newest() is None:
            raise NotAllowedNow("NOT_SIGNED_YET", "nothing was signed with the present key yet, so keep it")
        before = len(published(folder))
        await asyncio.to_thread(ask_for_rotation, self._parts.settings.asks_dir)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ROTATED_SECONDS
        while len(published(folder)) == before:
            if loop.time() > deadline:
                raise Unavailable("NOTARY_BUSY", "the notary has not come to it yet but will; GetNotary names the keys")
            await asyncio.sleep(_LOOK_SECONDS)
        return rpc.RotateLogKeyResponse(key=types.LogKey(**published(folder)[-1]))

    def scrub_summary(self) -> evidence.ScrubSummary:
        """Of the last comparison in the background."""
        outcome = last_outcome(self._parts.settings.scrub_dir)
        summary = evidence.ScrubSummary()
        if outcome:
            summary.begin_time.FromDatetime(datetime.fromisoformat(outcome["begin"]))
            summary.end_time.FromDatetime(datetime.fromisoformat(outcome["end"]))
            summary.size, summary.checkpoint_count = outcome["size"], outcome["checkpoints"]
            summary.finding_count = outcome["count"]
        return summary


def _finding(one: Finding) -> evidence.StoreFinding:
    return evidence.StoreFinding(
        store=f"EVIDENCE_STORE_{one.store}",
        reason=one.code,
        revision=one.revision,
        last_revision=one.last,
        message=one.message,
    )
