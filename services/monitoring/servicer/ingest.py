"""The door of telemetry that is streamed to us: passed on in the order of sending, and answered once it is stored."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from functools import partial

from google.protobuf.message import DecodeError

from kernel.errors import Exhausted, Invalid, NotAllowedNow, NotFound, Refusal, invalid_field
from kernel.incoming import Incoming
from kernel.limits import Buckets
from kernel.names import project_of
from kernel.rooms import Rooms
from kernel.rpc import Context
from kernel.status import message_of
from modelog.monitoring.v1 import ingest_pb2 as rpc
from modelog.monitoring.v1.telemetry_pb2 import OutcomeBatch, PredictionBatch
from services.monitoring.domain import KNOWN_VERSION
from services.monitoring.servicer.targets import Targets, check_target
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.arrow import count_rows
from services.monitoring.telemetry.batches import subject_of
from services.monitoring.telemetry.flat import Malformed
from services.monitoring.telemetry.repair import repaired

# Each may hold a quarter of a megabyte, and a stream that waits for the next answer holds all of them.
_AT_ONCE = 16
_BURST_SECONDS = 10.0
# A sender who is a little too fast is read more slowly; one who is much too fast is told to come back.
_LONGEST_WAIT_SECONDS = 2.0


class Ingest(Targets):
    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._quotas = Quotas(rooms)

    def Ingest(self, incoming: Incoming) -> AsyncIterator[rpc.IngestResponse]:
        """Batches are stored in the order of sending, and many wait for their acknowledgement at once."""
        order = asyncio.Lock()
        return incoming.answered(
            partial(self._taken, order), turn=lambda request: request.request_id, refused=_not_taken, at_once=_AT_ONCE
        )

    async def _taken(self, order: asyncio.Lock, context: Context) -> rpc.IngestResponse:
        request = context.request
        kind = str(request.WhichOneof("batch"))
        payload: bytes = getattr(request, kind)
        async with order:
            rows = _rows(request, kind, payload)
            await self._must_be_known(request.endpoint)
            await self._quotas.take(context.caller.principal.id, request.endpoint, rows, len(payload))
            subject = subject_of(kind, request.endpoint)
            begun = await self._publisher.begin(subject, _message_id(request.endpoint, request.request_id), payload)
        stored = await begun
        return rpc.IngestResponse(request_id=request.request_id, position=stored.position, repeated=stored.repeated)

    async def RetryRejectedBatch(
        self, request: rpc.RetryRejectedBatchRequest, context: Context
    ) -> rpc.RetryRejectedBatchResponse:
        check_target(request.parent, "parent")
        found = await queries.rejected_payload(self._kept, request.parent, request.position)
        if found is None:
            raise NotFound("BATCH_NOT_FOUND", f"no batch of {request.parent} was put aside at {request.position}")
        subject, payload = found
        if payload is None:
            raise NotAllowedNow("BATCH_NOT_KEPT", "only what was wrong with it is kept; let its producer send it again")
        if request.drop_columns or request.convert_columns:
            payload = await self._repaired(subject, payload, request)
        # Another id than the first time, or the stream would take it for a repetition; its batch_id stays.
        again = f"{request.parent}/{request.position}/{context.request_id}"
        stored = await self._publisher.publish(subject, hashlib.sha256(again.encode()).hexdigest()[:32], payload)
        await queries.forget_rejected(self._kept, request.position)
        return rpc.RetryRejectedBatchResponse(position=stored.position)

    async def _repaired(self, subject: str, payload: bytes, request: rpc.RetryRejectedBatchRequest) -> bytes:
        if subject.split(".")[1] != "predictions":
            raise invalid_field("drop_columns", "outcomes have no columns to leave out or to convert", "OUTCOMES")
        try:
            batch = PredictionBatch.FromString(payload)
        except DecodeError as error:
            raise Invalid("BATCH_MALFORMED", f"the batch cannot be read at all: {error}") from error
        known = await self._resources.load(KNOWN_VERSION, batch.version)
        return repaired(batch, known, drop=request.drop_columns, convert=request.convert_columns).SerializeToString()


class Quotas:
    """What one producer and one project may send to this process."""

    def __init__(self, rooms: Rooms) -> None:
        settings = rooms.settings
        self._buckets = {
            "producer": (
                _bucket(settings.producer_rows_per_second),
                _bucket(settings.producer_bytes_per_second),
            ),
            "project": (
                _bucket(settings.project_rows_per_second),
                _bucket(settings.project_bytes_per_second),
            ),
        }

    async def take(self, principal: str, endpoint: str, rows: int, size: int) -> None:
        """Waits a little where that helps; Exhausted otherwise."""
        project = project_of(endpoint)
        keys = {"producer": f"{principal} in {project}", "project": project}
        for whose, (by_rows, by_bytes) in self._buckets.items():
            for what, bucket, tokens in (("rows", by_rows, rows), ("bytes", by_bytes, size)):
                while tokens and (seconds := bucket.take(keys[whose], time.monotonic(), tokens)):
                    if seconds > _LONGEST_WAIT_SECONDS:
                        raise Exhausted(
                            "INGEST_LIMITED",
                            f"{keys[whose]} sends more {what} a second than it may; go on in {seconds:.1f} s with the "
                            "batches that were not answered",
                            metadata={"limit": f"{whose}_{what}_per_second"},
                            retry_seconds=seconds,
                        )
                    await asyncio.sleep(seconds)


def _bucket(per_second: float) -> Buckets:
    return Buckets(per_second, per_second * _BURST_SECONDS)


def _rows(request: rpc.IngestRequest, kind: str, payload: bytes) -> int:
    """Rows of the batch; Invalid when it is none, or another one than its request says. The rest is judged when it is
    counted, so that what is wrong with it can be looked at."""
    batch: PredictionBatch | OutcomeBatch = PredictionBatch() if kind == "predictions" else OutcomeBatch()
    try:
        batch.ParseFromString(payload)
    except DecodeError as error:
        raise Invalid("BATCH_MALFORMED", f"{kind} is not a {batch.DESCRIPTOR.full_name}: {error}") from error
    if batch.batch_id != request.request_id or batch.endpoint != request.endpoint:
        raise invalid_field(kind, "batch_id and endpoint of the batch are not those of the request", "OTHER_BATCH")
    rows = len(batch.prediction_ids)
    if isinstance(batch, PredictionBatch) and not rows:
        rows = max((len(one.numbers) or len(one.strings) for one in (*batch.inputs, *batch.outputs)), default=0)
        if batch.arrow:
            try:
                rows = count_rows(batch.arrow)
            except Malformed:
                rows = 0  # It will be put aside with the reason.
    return rows


def _message_id(endpoint: str, batch_id: str) -> str:
    return hashlib.sha256(f"{endpoint}\0{batch_id}".encode()).hexdigest()[:32]


def _not_taken(request: rpc.IngestRequest | None, refusal: Refusal) -> rpc.IngestResponse:
    request_id = "" if request is None else request.request_id
    return rpc.IngestResponse(request_id=request_id, refusal=message_of(refusal))
