"""The door of telemetry: outcomes are passed on to the stream, rejected batches are shown."""

import hashlib

from kernel.errors import invalid_field
from kernel.resources import refuse_past
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1.telemetry_pb2 import OutcomeBatch
from services.monitoring.servicer.targets import Targets, check_target
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import subject_of

_PAGE_SIZE = 50
_BEHIND_ALL = 1 << 62


class Telemetry(Targets):
    async def RecordOutcomes(self, request: rpc.RecordOutcomesRequest, context: Context) -> rpc.RecordOutcomesResponse:
        await self._must_be_known(request.endpoint)
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
        subject = subject_of("outcomes", request.endpoint)
        stored = await self._publisher.publish(subject, batch.batch_id, batch.SerializeToString())
        return rpc.RecordOutcomesResponse(batch_id=batch.batch_id, position=stored.position)

    async def ListRejectedBatches(
        self, request: rpc.ListRejectedBatchesRequest, context: Context
    ) -> rpc.ListRejectedBatchesResponse:
        check_target(request.parent, "parent")
        size = request.page_size or _PAGE_SIZE
        refuse_past(request.read, "telemetry, which is no part of the log,")
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
