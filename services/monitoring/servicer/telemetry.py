"""The door of telemetry: outcomes are passed on to the stream, rejected batches are shown."""

import hashlib

import nats.errors
import orjson

from kernel.errors import Invalid, NotFound, Unavailable, invalid_field
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1.telemetry_pb2 import OutcomeBatch
from services.monitoring.domain import KNOWN_ENDPOINT
from services.monitoring.servicer.room import Room
from services.monitoring.telemetry import queries

_ACK_SECONDS = 5.0
_PAGE_SIZE = 50
_BEHIND_ALL = 1 << 62


class Telemetry(Room):
    async def RecordOutcomes(self, request: rpc.RecordOutcomesRequest, context: Context) -> rpc.RecordOutcomesResponse:
        project, endpoint = KNOWN_ENDPOINT.pattern.ids(request.endpoint, "endpoint")
        known = await self._resources.load(KNOWN_ENDPOINT, request.endpoint)
        if not known.name:
            await self._resources.catch_up()
            known = await self._resources.load(KNOWN_ENDPOINT, request.endpoint)
        if not known.name:
            raise NotFound("ENDPOINT_NOT_FOUND", f"there is no {request.endpoint}")
        labels = request.labels.strings or request.labels.numbers
        if len(labels) != len(request.prediction_ids) or (request.labels.strings and request.labels.numbers):
            raise invalid_field("labels", f"{len(labels)} values for {len(request.prediction_ids)} ids", "LENGTH")
        _refuse_other_lengths(request)
        batch = OutcomeBatch(
            batch_id=_batch_id(context),
            endpoint=request.endpoint,
            prediction_ids=request.prediction_ids,
            labels=request.labels,
            record_time=context.now,
            sensitive=request.sensitive,
            queries=request.queries,
        )
        position = await self._publish(f"telemetry.outcomes.{project}.{endpoint}", batch)
        return rpc.RecordOutcomesResponse(batch_id=batch.batch_id, position=position)

    async def _publish(self, subject: str, batch: OutcomeBatch) -> int:
        """Position in the stream, once it has the batch for good."""
        headers = {"Nats-Msg-Id": batch.batch_id}
        try:
            answer = await self._rooms.nats.request(
                subject, batch.SerializeToString(), timeout=_ACK_SECONDS, headers=headers
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(
                "TELEMETRY_UNREACHABLE", f"{error!r}; repeat with the same request_id, which counts once"
            ) from error
        body = orjson.loads(answer.data)
        if "error" in body:
            raise Unavailable("TELEMETRY_UNREACHABLE", str(body["error"].get("description")))
        return int(body["seq"])

    async def ListRejectedBatches(
        self, request: rpc.ListRejectedBatchesRequest, context: Context
    ) -> rpc.ListRejectedBatchesResponse:
        KNOWN_ENDPOINT.pattern.ids(request.parent, "parent")
        size = request.page_size or _PAGE_SIZE
        if request.read.WhichOneof("as_of"):
            raise Invalid("INVALID_REQUEST", "read: telemetry is not part of the log and has no as_of")
        before = int(request.page_token) if request.page_token.isdecimal() else _BEHIND_ALL
        batches = await queries.rejected_batches(self._kept, request.parent, before, size + 1)
        more = len(batches) > size
        token = str(batches[size - 1].position) if more else ""
        return rpc.ListRejectedBatchesResponse(batches=batches[:size], next_page_token=token)


def _refuse_other_lengths(request: rpc.RecordOutcomesRequest) -> None:
    rows = len(request.prediction_ids)
    for index, one in enumerate(request.sensitive):
        if len(one.strings or one.numbers) != rows:
            raise invalid_field(f"sensitive[{index}]", f"not one value for each of {rows} ids", "LENGTH")
    if request.queries and len(request.queries) != rows:
        raise invalid_field("queries", f"{len(request.queries)} queries for {rows} ids", "LENGTH")


def _batch_id(context: Context) -> str:
    """The same request of the same caller is the same batch."""
    text = f"{context.caller.principal.id}\0{context.request_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
