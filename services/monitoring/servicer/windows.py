"""The door of windows: metric series, computing a window again, and what it saw."""

import asyncio
from datetime import UTC, datetime

from kernel.errors import NotAllowedNow
from kernel.postgres import Pool
from kernel.rpc import Context
from modelog.monitoring.v1 import explanations_pb2 as told
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.monitoring import queries
from services.monitoring.checks import reevaluate, without_rows
from services.monitoring.domain import MONITOR
from services.monitoring.explaining import check_meant, explain
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry import queries as stored
from services.monitoring.telemetry.samples import queries as samples

_EVERY_REVISION = 1 << 62


class Windows(Room):
    async def ListWindows(self, request: rpc.ListWindowsRequest, context: Context) -> rpc.ListWindowsResponse:
        MONITOR.pattern.ids(request.parent, "parent")
        await self._resources.settle(request.read)
        return await queries.metric_points(self._pool, request, as_of(request.read))

    async def ReevaluateWindow(
        self, request: rpc.ReevaluateWindowRequest, context: Context
    ) -> rpc.ReevaluateWindowResponse:
        MONITOR.pattern.ids(request.name)
        await self._resources.settle(request.read)
        revision, fact = await queries.evaluated_window(self._pool, request.name, request.window, as_of(request.read))
        profiles, baseline = await profiles_of(self._kept, fact.window, context.now)
        recomputed = reevaluate(fact, profiles, baseline)
        expired = without_rows(fact, profiles, baseline)
        pairs = zip(fact.results, recomputed, strict=True)
        return rpc.ReevaluateWindowResponse(
            recorded=fact.results,
            recomputed=recomputed,
            same=all(one == other for one, other in pairs if one.check.id not in expired),
            revision=revision,
            sample_expired=expired,
        )

    async def ExplainWindow(self, request: told.ExplainWindowRequest, context: Context) -> told.ExplainWindowResponse:
        MONITOR.pattern.ids(request.name)
        await self._resources.settle(request.read)
        revision, fact = await queries.evaluated_window(self._pool, request.name, request.window, as_of(request.read))
        result = check_meant(fact, request.check)
        profiles, baseline = await profiles_of(self._kept, fact.window, context.now)
        if baseline is None:
            raise NotAllowedNow("NOTHING_COMPARED", f"window {request.window} was compared with nothing")
        monitor: types.Monitor = await self._resources.load(MONITOR, request.name, request.read)
        weights = dict(request.importances or monitor.baseline.importances)
        columns = await asyncio.to_thread(explain, result.check, profiles, baseline, weights)
        return told.ExplainWindowResponse(
            check=result.check,
            outcome=result.outcome,
            columns=columns,
            weighted=any(weights.get(one.result.column) for one in columns),
            rows=profiles.rows,
            baseline_rows=baseline.rows,
            revision=revision,
        )


async def profiles_of(
    kept: Pool, window: types.Window, now: datetime
) -> tuple[types.ProfileSet, types.ProfileSet | None]:
    """Those of the window, and of what it was compared with, with rows as far as some are kept; NotAllowedNow when
    profiles are no longer kept."""
    digests = [one for one in (window.profile_digest, window.baseline_digest) if one]
    found = await stored.load_profiles(kept, digests)
    for digest in digests:
        if digest not in found:
            raise NotAllowedNow("PROFILE_EXPIRED", f"the profiles {digest} are no longer kept")
    profiles = types.ProfileSet.FromString(found[window.profile_digest])
    baseline = types.ProfileSet.FromString(found[window.baseline_digest]) if window.baseline_digest else None
    for digest, into in ((window.sample_digest, profiles), (window.baseline_sample_digest, baseline)):
        sample = await samples.load(kept, digest, now) if digest else None
        if sample is not None and into is not None:
            into.sample.CopyFrom(sample)
    return profiles, baseline


def as_of(read: ReadOptions) -> queries.AsOf:
    """The newest revision and the latest time that may be seen."""
    time = read.as_of_time.ToDatetime(tzinfo=UTC) if read.HasField("as_of_time") else datetime.max.replace(tzinfo=UTC)
    return read.as_of_revision or _EVERY_REVISION, time
