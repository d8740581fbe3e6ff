"""The door of baselines: their profiles are kept first, then the fact names them by their digest."""

import asyncio
from collections.abc import Sequence
from functools import partial

from kernel.errors import invalid_field
from kernel.rpc import Context
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.domain import MONITOR, monitor
from services.monitoring.domain.baseline import baseline_of
from services.monitoring.forest import grow_forest
from services.monitoring.losses import as_numbers, fit_losses
from services.monitoring.performance import count_pairs, text_of
from services.monitoring.profile import Column, capture, digest_of, encode, layout_of
from services.monitoring.sampling import hashes_of_ids, sampling_of
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
        sampled = [one.name for one in profiles.sample.columns]
        verb = partial(monitor.capture_baseline, baseline=baseline, sampled=sampled)
        decided = await self._write(MONITOR, request, context, verb)
        return rpc.CaptureBaselineResponse(name=decided.name, revision=decided.revision, digest=digest)


def _profiles_of(values: rpc.BaselineValues) -> types.ProfileSet:
    columns = baseline_columns(values.inputs, values.outputs)
    profiles = capture(columns)
    if values.HasField("labels"):
        output, labels = _labelled(columns, values.labels)
        said: Sequence[float | str] = output.numbers.tolist() if output.strings is None else output.strings
        pairs = [(text_of(one), text_of(label)) for one, label in zip(said, labels, strict=True)]
        profiles.performance.CopyFrom(count_pairs(pairs))
        model = fit_losses(columns, output, as_numbers(labels))
        if model is not None:
            profiles.loss_model.CopyFrom(model)
    sampling = sampling_of(layout_of(profiles), values.sample_rows, ())
    if sampling is not None:
        profiles.sample.CopyFrom(sampling.of(columns, hashes_of_ids("baseline", (), profiles.rows)))
    if values.outlier_share:
        forest = grow_forest(columns, values.outlier_share)
        if forest is None:
            raise invalid_field("values.outlier_share", "needs inputs of 100 rows and more", "TOO_FEW_ROWS")
        profiles.forest.CopyFrom(forest)
    return profiles


def _labelled(columns: Sequence[Column], labels: telemetry.TelemetryColumn) -> tuple[Column, Sequence[float | str]]:
    """The output that the labels are named for, with these; Invalid when they do not fit."""
    outputs = [one for one in columns if one.role == types.COLUMN_ROLE_OUTPUT]
    if not outputs:
        raise invalid_field("values.labels", "there are no outputs to compare labels with", "NO_OUTPUT")
    output = next((one for one in outputs if one.name == labels.name), outputs[0])
    told: Sequence[float | str] = labels.strings or labels.numbers
    if len(told) != output.rows or (labels.strings and labels.numbers):
        raise invalid_field("values.labels", f"{len(told)} labels for {output.rows} rows", "LENGTH")
    return output, told
