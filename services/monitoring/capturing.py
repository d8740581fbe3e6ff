"""What a baseline is made of: values as a whole, and cut into chunks that are judged like windows. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernel.errors import invalid_field
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.fitting import LEAST_CHUNKS, MOST_CHUNKS, Chunk
from services.monitoring.forest import grow_forest, outliers_of
from services.monitoring.losses import as_numbers, fit_losses, losses_of
from services.monitoring.performance import Pair, count_pairs, text_of
from services.monitoring.pieces import Piece, counted
from services.monitoring.profile import Column, capture, layout_of
from services.monitoring.sampling import hashes_of_ids, sampling_of
from services.monitoring.telemetry.batches import baseline_columns


class Captured(NamedTuple):
    """Profiles of all rows, and those of chunks of `chunk_rows`; none when it is not cut, or into too few."""

    profiles: types.ProfileSet
    chunks: Sequence[Chunk] = ()
    chunk_rows: int = 0


def append_rows(request: rpc.CaptureBaselineRequest, more: rpc.StreamBaselineRequest) -> None:
    """Adds the rows of a further message; Invalid when it has other columns, or is for another monitor."""
    mine, others = _all_columns(request.values), _all_columns(more.values)
    if more.name != request.name or [one.name for one in mine] != [one.name for one in others]:
        raise invalid_field("values", "every message needs the columns of the first, in its order", "OTHER_COLUMNS")
    for column, other in zip(mine, others, strict=True):
        if (column.strings and other.numbers) or (column.numbers and other.strings):
            raise invalid_field("values", f"{column.name} came as numbers and as texts", "OTHER_COLUMNS")
        column.numbers.extend(other.numbers)
        column.strings.extend(other.strings)


def _all_columns(values: rpc.BaselineValues) -> list[telemetry.TelemetryColumn]:
    labels = [values.labels] if values.HasField("labels") else []
    return [*values.inputs, *values.outputs, *labels]


def captured_of(values: rpc.BaselineValues, chunk_rows: int) -> Captured:
    """chunk_rows: 0 when it is not to be cut. Of more than a hundred chunks as many are taken, evenly spread."""
    columns = baseline_columns(values.inputs, values.outputs)
    profiles = capture(columns)
    pairs: list[Pair] = []
    if values.HasField("labels"):
        output, labels = _labelled(columns, values.labels)
        said: Sequence[float | str] = output.numbers.tolist() if output.strings is None else output.strings
        pairs = [(text_of(one), text_of(label)) for one, label in zip(said, labels, strict=True)]
        profiles.performance.CopyFrom(count_pairs(pairs))
        model = fit_losses(columns, output, as_numbers(labels))
        if model is not None:
            profiles.loss_model.CopyFrom(model)
    hashes = hashes_of_ids("baseline", (), profiles.rows)
    sampling = sampling_of(layout_of(profiles), values.sample_rows, ())
    if sampling is not None:
        profiles.sample.CopyFrom(sampling.of(columns, hashes))
    if values.outlier_share:
        forest = grow_forest(columns, values.outlier_share)
        if forest is None:
            raise invalid_field("values.outlier_share", "needs inputs of 100 rows and more", "TOO_FEW_ROWS")
        profiles.forest.CopyFrom(forest)
    if not chunk_rows or profiles.rows // chunk_rows < LEAST_CHUNKS:
        return Captured(profiles)
    whole = Piece(
        columns, profiles.rows, layout_of(profiles), losses_of(profiles), (), outliers_of(profiles), sampling, hashes
    )
    return Captured(profiles, _chunks(whole, pairs, chunk_rows), chunk_rows)


def _chunks(whole: Piece, pairs: Sequence[Pair], chunk_rows: int) -> list[Chunk]:
    most = whole.rows // chunk_rows
    places = np.unique(np.linspace(0, most - 1, min(most, MOST_CHUNKS)).astype(np.int64))
    chunks = []
    for start in (places * chunk_rows).tolist():
        stop = start + chunk_rows
        columns = [one.part(start, stop) for one in whole.columns]
        hashes = None if whole.hashes is None else whole.hashes[start:stop]
        profiles = counted([whole._replace(columns=columns, rows=chunk_rows, hashes=hashes)])
        if pairs:
            profiles.performance.CopyFrom(count_pairs(pairs[start:stop]))
        chunks.append(Chunk(profiles))
    return chunks


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
