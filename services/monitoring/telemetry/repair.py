"""A batch that could not be counted, with columns left out or converted. Pure."""

from collections.abc import Collection, Iterable

from google.protobuf.message import Message

from kernel.errors import invalid_field
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.performance import text_of
from services.monitoring.telemetry.arrow import Unsupported, Values, read_stream
from services.monitoring.telemetry.flat import Malformed
from services.monitoring.telemetry.wrong import is_number

_NAN = float("nan")


def repaired(
    batch: telemetry.PredictionBatch, known: types.KnownVersion, *, drop: Collection[str], convert: Collection[str]
) -> telemetry.PredictionBatch:
    """The batch to send again. Invalid names a column that is not there, or of which no signature says what it is."""
    found = _listed(batch) if batch.arrow else batch
    signature = {(one.role, one.name): one.categorical for one in known.columns}
    names = {one.name for one in (*found.inputs, *found.outputs)}
    for field, wanted in (("drop_columns", drop), ("convert_columns", convert)):
        if missing := sorted(set(wanted) - names):
            raise invalid_field(field, f"the batch has no column {', '.join(missing)}", "NO_COLUMN")
    sent = telemetry.PredictionBatch()
    sent.CopyFrom(found)
    for role, columns in ((types.COLUMN_ROLE_INPUT, sent.inputs), (types.COLUMN_ROLE_OUTPUT, sent.outputs)):
        kept = [one for one in columns if one.name not in drop]
        for one in kept:
            if one.name in convert:
                if (role, one.name) not in signature:
                    raise invalid_field("convert_columns", f"no signature says what {one.name} is", "NO_SIGNATURE")
                _convert(one, categorical=signature[role, one.name])
        _replace(columns, kept)
    return sent


def _convert(column: telemetry.TelemetryColumn, *, categorical: bool) -> None:
    if categorical and column.numbers:
        column.strings.extend([text_of(one) for one in column.numbers])
        column.ClearField("numbers")
    elif not categorical and column.strings:
        column.numbers.extend([float(one) if is_number(one) else _NAN for one in column.strings])
        column.ClearField("strings")


def _replace(columns: object, kept: Iterable[Message]) -> None:
    copies = [type(one).FromString(one.SerializeToString()) for one in kept]
    del columns[:]  # type: ignore[attr-defined]
    columns.extend(copies)  # type: ignore[attr-defined]


def _listed(batch: telemetry.PredictionBatch) -> telemetry.PredictionBatch:
    """The same batch with its columns as lists."""
    try:
        values = read_stream(batch.arrow)
    except (Malformed, Unsupported) as error:
        raise invalid_field("position", f"its columns cannot be read, so not be repaired: {error}", "ARROW") from error
    listed = telemetry.PredictionBatch()
    listed.CopyFrom(batch)
    for field in ("arrow", "arrow_outputs", "arrow_ids"):
        listed.ClearField(field)
    if batch.arrow_ids in values:
        ids = values.pop(batch.arrow_ids)
        listed.prediction_ids.extend(ids.strings or [str(int(one)) for one in ids.numbers.tolist()])
    for name, one in values.items():
        columns = listed.outputs if name in batch.arrow_outputs else listed.inputs
        columns.append(_column(name, one))
    return listed


def _column(name: str, values: Values) -> telemetry.TelemetryColumn:
    if values.strings is not None:
        return telemetry.TelemetryColumn(name=name, strings=values.strings)
    return telemetry.TelemetryColumn(name=name, numbers=values.numbers.tolist())
