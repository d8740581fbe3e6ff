"""The door of windows: metric series, and computing a window again."""

from datetime import UTC, datetime

from kernel.errors import NotAllowedNow
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.monitoring import queries
from services.monitoring.checks import reevaluate
from services.monitoring.domain import MONITOR
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry import queries as stored

_EVERY_REVISION = 1 << 62


class Windows(Room):
    async def ListWindows(self, request: rpc.ListWindowsRequest, context: Context) -> rpc.ListWindowsResponse:
        MONITOR.pattern.ids(request.parent, "parent")
        await self._resources.wait(max(request.read.at_least, request.read.as_of_revision))
        return await queries.metric_points(self._pool, request, as_of(request.read))

    async def ReevaluateWindow(
        self, request: rpc.ReevaluateWindowRequest, context: Context
    ) -> rpc.ReevaluateWindowResponse:
        MONITOR.pattern.ids(request.name)
        await self._resources.wait(max(request.read.at_least, request.read.as_of_revision))
        seen = as_of(request.read)
        revision, fact = await queries.evaluated_window(self._pool, request.name, request.window, seen)
        window = fact.window
        digests = [one for one in (window.profile_digest, window.baseline_digest) if one]
        kept = await stored.load_profiles(self._kept, digests)
        for digest in digests:
            if digest not in kept:
                raise NotAllowedNow("PROFILE_EXPIRED", f"the profiles {digest} are no longer kept")
        profiles = types.ProfileSet.FromString(kept[window.profile_digest])
        baseline = types.ProfileSet.FromString(kept[window.baseline_digest]) if window.baseline_digest else None
        recomputed = reevaluate(fact, profiles, baseline)
        return rpc.ReevaluateWindowResponse(
            recorded=fact.results,
            recomputed=recomputed,
            same=list(fact.results) == recomputed,
            revision=revision,
        )


def as_of(read: ReadOptions) -> queries.AsOf:
    """The newest revision and the latest time that may be seen."""
    time = read.as_of_time.ToDatetime(tzinfo=UTC) if read.HasField("as_of_time") else datetime.max.replace(tzinfo=UTC)
    return read.as_of_revision or _EVERY_REVISION, time
