"""Batches sent through Ingest, for tests."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc.aio

from modelog.monitoring.v1 import ingest_pb2 as rpc
from modelog.monitoring.v1 import monitoring_service_pb2_grpc as stubs
from modelog.monitoring.v1 import telemetry_pb2 as telemetry


def request(batch: telemetry.PredictionBatch | telemetry.OutcomeBatch, **fields: Any) -> rpc.IngestRequest:
    kind = "predictions" if isinstance(batch, telemetry.PredictionBatch) else "outcomes"
    given = {"request_id": batch.batch_id, "endpoint": batch.endpoint, kind: batch.SerializeToString()} | fields
    return rpc.IngestRequest(**given)


async def ingest(
    channel: grpc.aio.Channel, requests: Iterable[rpc.IngestRequest], actor: str = "users/ada"
) -> Sequence[rpc.IngestResponse]:
    """All answers of one stream."""

    async def sent() -> AsyncIterator[rpc.IngestRequest]:
        for one in requests:
            yield one

    stub: Any = stubs.MonitoringServiceStub(channel)
    call = stub.Ingest(sent(), timeout=30, metadata=(("x-modelog-actor", actor),))
    return [reply async for reply in call]
