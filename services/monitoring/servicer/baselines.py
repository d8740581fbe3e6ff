"""The door of baselines: their profiles are kept first, then the fact names them by their digest."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from kernel.errors import invalid_field
from kernel.incoming import Incoming
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.capturing import Captured, append_rows, captured_of
from services.monitoring.domain import MONITOR, monitor
from services.monitoring.domain.baseline import baseline_of
from services.monitoring.fitting import fit_all
from services.monitoring.profile import digest_of, encode
from services.monitoring.referring import captured_in
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry import queries


class Baselines(Room):
    async def CaptureBaseline(
        self, request: rpc.CaptureBaselineRequest, context: Context
    ) -> rpc.CaptureBaselineResponse:
        return await self._capture(request, context)

    async def StreamBaseline(self, incoming: Incoming) -> AsyncIterator[rpc.StreamBaselineResponse]:
        first: Context | None = None
        request = rpc.CaptureBaselineRequest()
        async for context in incoming:
            if first is None:
                first, request = context, _whole(context.request)
            else:
                append_rows(request, context.request)
        if first is None:
            raise invalid_field("values", "no message came", "NO_MESSAGE")
        captured = await self._capture(request, first)
        yield rpc.StreamBaselineResponse(
            name=captured.name, revision=captured.revision, digest=captured.digest, thresholds=captured.thresholds
        )

    async def _capture(self, request: rpc.CaptureBaselineRequest, context: Context) -> rpc.CaptureBaselineResponse:
        MONITOR.pattern.ids(request.name)
        present: types.Monitor = await self._resources.load(MONITOR, request.name)
        captured = await self._captured(request, present)
        body = await asyncio.to_thread(encode, captured.profiles)
        digest = digest_of(body)
        baseline = baseline_of(captured.profiles, digest=digest, description=request.description)
        baseline.chunk_rows = captured.chunk_rows
        baseline.importances.update(request.importances)
        baseline.thresholds.extend(await asyncio.to_thread(fit_all, present.checks, captured.chunks, present.window))
        if request.HasField("reference"):
            baseline.reference.CopyFrom(request.reference)
            baseline.reference.windows = len(captured.chunks)
        if not request.validate_only:
            await queries.keep_profile(self._kept, digest, body, context.now, baseline=True)
        sampled = [one.name for one in captured.profiles.sample.columns]
        verb = partial(monitor.capture_baseline, baseline=baseline, judged=present.checks, sampled=sampled)
        decided = await self._write(MONITOR, request, context, verb)
        return rpc.CaptureBaselineResponse(
            name=decided.name, revision=decided.revision, digest=digest, thresholds=baseline.thresholds
        )

    async def _captured(self, request: rpc.CaptureBaselineRequest, present: types.Monitor) -> Captured:
        match request.WhichOneof("source"):
            case "values":
                rows = request.chunk_rows or present.window.size_rows
                return await asyncio.to_thread(captured_of, request.values, rows)
            case "reference":
                return await captured_in(self._pool, self._kept, present, request.reference)
            case _:
                return Captured(request.profiles)


def _whole(first: rpc.StreamBaselineRequest) -> rpc.CaptureBaselineRequest:
    """What the first message of a stream asks for, as one call would."""
    return rpc.CaptureBaselineRequest(
        request_id=first.request_id,
        reason=first.reason,
        etag=first.etag,
        validate_only=first.validate_only,
        name=first.name,
        values=first.values,
        description=first.description,
        chunk_rows=first.chunk_rows,
        importances=first.importances,
    )
