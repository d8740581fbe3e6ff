"""The door of baselines: their profiles are kept first, then the fact names them by their digest."""

import asyncio
from functools import partial

from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import MONITOR, monitor
from services.monitoring.domain.baseline import baseline_of
from services.monitoring.profile import capture, digest_of, encode
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import baseline_columns


class Baselines(Room):
    async def CaptureBaseline(
        self, request: rpc.CaptureBaselineRequest, context: Context
    ) -> rpc.CaptureBaselineResponse:
        MONITOR.pattern.ids(request.name)
        profiles = request.profiles
        if request.WhichOneof("source") == "values":
            profiles = await asyncio.to_thread(_profiles_of, request.values)
        body = encode(profiles)
        digest = digest_of(body)
        baseline = baseline_of(profiles, digest=digest, description=request.description)
        if not request.validate_only:
            await queries.keep_profile(self._kept, digest, body, context.now, baseline=True)
        decided = await self._write(MONITOR, request, context, partial(monitor.capture_baseline, baseline=baseline))
        return rpc.CaptureBaselineResponse(name=decided.name, revision=decided.revision, digest=digest)


def _profiles_of(values: rpc.BaselineValues) -> types.ProfileSet:
    return capture(baseline_columns(values.inputs, values.outputs))
