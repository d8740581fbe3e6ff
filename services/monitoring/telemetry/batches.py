"""What arrives on TELEMETRY, read and checked: predictions, outcomes, or a reason why neither. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from kernel.errors import Invalid
from kernel.names import Pattern
from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.service_counts_pb2 import ServiceCounts
from services.monitoring.performance import text_of
from services.monitoring.profile import Column
from services.monitoring.service import is_sound
from services.monitoring.telemetry import wrong as wrongs
from services.monitoring.telemetry.arrow import Unsupported, Values, read_stream
from services.monitoring.telemetry.flat import Malformed

_ENDPOINT = Pattern("projects/*/endpoints/*")
_MODEL = Pattern("projects/*/models/*")
_VERSION = Pattern("projects/*/models/*/versions/#")
_MOST_ROWS = 1_000_000
_MOST_COLUMNS = 512
_MOST_LOSSES = 1_000_000_000
_MOST_ID = 128
_MOST_NAME = 128
_MOST_SENSITIVE = 8
_EARLIEST = 0
_LATEST = 7_258_118_400_000_000  # 2200-01-01 in microseconds: a later time is a mistake in units.


# Names of sensitive columns, each with one text a row.
Sensitive = Sequence[tuple[str, Sequence[str]]]


class Predictions(NamedTuple):
    """Rows that one version answered. Times in microseconds; ids is empty when rows cannot be joined with labels.

    shadow: nobody got these answers, and another version answered under the same ids.
    """

    batch_id: str
    endpoint: str
    version: str
    start: int
    end: int
    rows: int
    ids: Sequence[str]
    columns: Sequence[Column]
    dropped_rows: int
    failed_requests: int
    shadow: bool = False
    sensitive: Sensitive = ()
    service: ServiceCounts | None = None


class Outcomes(NamedTuple):
    """Labels by prediction id, as text; known_at in microseconds, 0 when it is not told."""

    batch_id: str
    endpoint: str
    ids: Sequence[str]
    labels: Sequence[str]
    known_at: int
    sensitive: Sensitive = ()
    queries: Sequence[str] = ()


class Rejected(NamedTuple):
    """A message that cannot be counted, as far as it could be read. columns: what is wrong with which."""

    endpoint: str
    batch_id: str
    reason: str
    rows: int
    columns: Sequence[types.RejectedColumn] = ()


class _Unfit(Exception):
    """Why a batch cannot be counted."""

    def __init__(self, reason: str, columns: Sequence[types.RejectedColumn] = ()) -> None:
        super().__init__(reason)
        self.columns = columns[: wrongs.MOST_COLUMNS]


def read(subject: str, payload: bytes) -> Predictions | Outcomes | Rejected:
    """The batch in a message of TELEMETRY."""
    endpoint = endpoint_of(subject)
    batch_id, rows = "", 0
    try:
        if not endpoint:
            raise _Unfit("the subject is not telemetry.predictions|outcomes.<project>.<endpoint>|models.<model>")
        if subject.split(".")[1] == "outcomes":
            outcomes = telemetry.OutcomeBatch.FromString(payload)
            batch_id, rows = outcomes.batch_id, len(outcomes.prediction_ids)
            return _outcomes(outcomes, endpoint)
        predictions = telemetry.PredictionBatch.FromString(payload)
        batch_id, rows = predictions.batch_id, len(predictions.prediction_ids)
        return _predictions(predictions, endpoint)
    except DecodeError as error:
        return Rejected(endpoint, "", f"malformed: {error}", 0)
    except _Unfit as unfit:
        return Rejected(endpoint, _shown(batch_id), _shown(str(unfit), 2000), rows, unfit.columns)


def _shown(text: str, most: int = _MOST_ID) -> str:
    """Postgres keeps no NUL."""
    return text.replace("\0", "\\0")[:most]


def endpoint_of(subject: str) -> str:
    """The endpoint, or the model, that a subject of TELEMETRY is about; empty when it is neither."""
    tokens = subject.split(".")
    if len(tokens) not in (4, 5) or tokens[1] not in ("predictions", "outcomes"):
        return ""
    if len(tokens) == 4:
        name, pattern = f"projects/{tokens[2]}/endpoints/{tokens[3]}", _ENDPOINT
    else:
        name, pattern = f"projects/{tokens[2]}/{tokens[3]}/{tokens[4]}", _MODEL
    return name if _fits(pattern, name) else ""


def subject_of(kind: str, endpoint: str) -> str:
    """Where batches of a kind (`predictions`, `outcomes`) of an endpoint or a model are published."""
    _, project, collection, one = endpoint.split("/")
    return f"telemetry.{kind}.{project}.{'models.' * (collection == 'models')}{one}"


def _fits(pattern: Pattern, name: str) -> bool:
    try:
        pattern.ids(name)
    except Invalid:
        return False
    return True


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise _Unfit(reason)


def _check_head(batch_id: str, endpoint: str, expected: str) -> None:
    _require(0 < len(batch_id) <= _MOST_ID and "\0" not in batch_id, "batch_id is missing or too long")
    _require(endpoint == expected, f"endpoint {endpoint!r} came on the subject of {expected}")


def _check_ids(ids: Sequence[str]) -> None:
    for one in ids:
        _require(0 < len(one) <= _MOST_ID and "\0" not in one, "a prediction id is empty or too long")


def _outcomes(batch: telemetry.OutcomeBatch, endpoint: str) -> Outcomes:
    _check_head(batch.batch_id, batch.endpoint, endpoint)
    _check_ids(batch.prediction_ids)
    column = batch.labels
    values = column.strings or column.numbers
    _require(not (column.strings and column.numbers), "labels hold both numbers and strings")
    _require(len(values) == len(batch.prediction_ids), f"{len(values)} labels for {len(batch.prediction_ids)} ids")
    labels = [text_of(value) for value in values]
    known_at = batch.record_time.ToMicroseconds() if batch.HasField("record_time") else 0
    _require(_EARLIEST <= known_at <= _LATEST, "record_time is out of range")
    sensitive, queries = _sensitive(batch.sensitive, len(labels)), list(batch.queries)
    _require(len(queries) in (0, len(labels)), f"{len(queries)} queries for {len(labels)} ids")
    return Outcomes(batch.batch_id, endpoint, list(batch.prediction_ids), labels, known_at, sensitive, queries)


def _sensitive(columns: Sequence[telemetry.TelemetryColumn], rows: int) -> Sensitive:
    """Their values are never told, also not by what is wrong with them."""
    _require(len(columns) <= _MOST_SENSITIVE, f"more than {_MOST_SENSITIVE} sensitive columns")
    told = []
    for one in columns:
        _require(0 < len(one.name) <= _MOST_NAME, "a sensitive column without a proper name")
        _require(_length(one) == rows, f"{one.name}: {_length(one)} values for {rows} rows")
        told.append((one.name, [text_of(value) for value in (one.strings or one.numbers)]))
    return told


def _predictions(batch: telemetry.PredictionBatch, endpoint: str) -> Predictions:
    _check_head(batch.batch_id, batch.endpoint, endpoint)
    ids, columns, rows = _arrow(batch) if batch.arrow else _listed(batch)
    _require(_fits(_VERSION, batch.version), f"version {batch.version!r} is no version's name")
    if "/models/" in endpoint:
        _require(batch.version.startswith(f"{endpoint}/"), f"version {batch.version!r} is not one of {endpoint}")
    start, end = batch.start_time.ToMicroseconds(), batch.end_time.ToMicroseconds()
    _require(_EARLIEST < start <= end <= _LATEST, "start_time and end_time are missing or out of order")
    for losses in (batch.dropped_rows, batch.failed_requests):
        _require(0 <= losses <= _MOST_LOSSES, f"a count is negative or above {_MOST_LOSSES}")
    _require(is_sound(batch.service), "service: parts of latencies ascend, and no count is negative")
    return Predictions(
        batch.batch_id,
        endpoint,
        batch.version,
        start,
        end,
        rows,
        ids,
        columns,
        batch.dropped_rows,
        batch.failed_requests,
        batch.shadow,
        _sensitive(batch.sensitive, rows),
        batch.service if batch.HasField("service") else None,
    )


def _listed(batch: telemetry.PredictionBatch) -> tuple[Sequence[str], list[Column], int]:
    """Ids, columns and rows of a batch of lists."""
    ids = list(batch.prediction_ids)
    _check_ids(ids)
    given = [(types.COLUMN_ROLE_INPUT, one) for one in batch.inputs]
    given += [(types.COLUMN_ROLE_OUTPUT, one) for one in batch.outputs]
    _require(len(given) <= _MOST_COLUMNS, f"{len(given)} columns, more than {_MOST_COLUMNS}")
    rows = len(ids) or max((_length(one) for _, one in given), default=0)
    _require(rows <= _MOST_ROWS, f"{rows} rows, more than {_MOST_ROWS}")
    return ids, _columns(given, rows), rows


def _arrow(batch: telemetry.PredictionBatch) -> tuple[Sequence[str], list[Column], int]:
    """Ids, columns and rows of a batch that is an Arrow stream."""
    listed = batch.prediction_ids or batch.inputs or batch.outputs
    _require(not listed, "both arrow and lists of columns")
    outputs = list(batch.arrow_outputs)
    try:
        values = read_stream(batch.arrow)
    except Malformed as error:
        raise _Unfit(f"arrow: {error}") from error
    except Unsupported as error:
        raise _Unfit(f"arrow: {error}", wrongs.unsupported(error, outputs)) from error
    ids = _arrow_ids(values, batch.arrow_ids)
    _check_ids(ids)
    _require(len(values) <= _MOST_COLUMNS, f"{len(values)} columns, more than {_MOST_COLUMNS}")
    missing = [name for name in outputs if name not in values]
    _require(not missing, f"arrow_outputs: there is no column {', '.join(missing)}")
    rows = len(ids) or max(map(len, values.values()), default=0)
    _require(rows <= _MOST_ROWS, f"{rows} rows, more than {_MOST_ROWS}")
    columns = []
    for name, one in values.items():
        _require(0 < len(name) <= _MOST_NAME and "\0" not in name, "a column without a proper name")
        role = types.COLUMN_ROLE_OUTPUT if name in outputs else types.COLUMN_ROLE_INPUT
        columns.append(Column(name, role, one.numbers, one.strings))
    return ids, columns, rows


def _arrow_ids(values: dict[str, Values], name: str) -> Sequence[str]:
    """The prediction ids, which are no column any more."""
    if not name:
        return ()
    _require(name in values, f"arrow_ids: there is no column {name}")
    ids = values.pop(name)
    if ids.strings is not None:
        return ids.strings
    return ["" if one != one else str(int(one)) for one in ids.numbers.tolist()]


def _length(column: telemetry.TelemetryColumn) -> int:
    return len(column.numbers) or len(column.strings)


def _columns(given: Iterable[tuple[types.ColumnRole, telemetry.TelemetryColumn]], rows: int) -> list[Column]:
    """Every column checked; all that is wrong is told at once, column by column."""
    columns: list[Column] = []
    reasons: list[str] = []
    details: list[types.RejectedColumn] = []
    seen: set[tuple[int, str]] = set()
    for role, one in given:
        if not 0 < len(one.name) <= _MOST_NAME or "\0" in one.name:
            reasons.append("a column without a proper name")
            details.append(wrongs.improper(one.name, role, "a name", "none, or one too long"))
        elif (role, one.name) in seen:
            reasons.append(f"{one.name}: twice")
            details.append(wrongs.improper(one.name, role, "one column of a name", "two"))
        elif one.numbers and one.strings:
            reasons.append(f"{one.name}: both numbers and strings")
            details.append(wrongs.improper(one.name, role, "numbers or text", "both"))
        elif _length(one) != rows:
            reasons.append(f"{one.name}: {_length(one)} values for {rows} rows")
            details.append(wrongs.length(one.name, role, _length(one), rows))
        else:
            columns.append(_column(role, one))
        seen.add((role, one.name))
    if reasons:
        raise _Unfit("; ".join(reasons), details)
    return columns


def _column(role: types.ColumnRole, column: telemetry.TelemetryColumn) -> Column:
    strings = list(column.strings) if column.strings else None
    return Column(column.name, role, np.array(column.numbers, dtype=np.float64), strings)


def misfits(batch: Predictions, known: types.KnownVersion) -> Rejected | None:
    """Why a batch does not fit the signature of its version, column by column; None when it does, or the version is
    not known yet."""
    signature = {(one.role, one.name): one.categorical for one in known.columns}
    found = []
    for column in batch.columns:
        categorical = signature.get(column.key)
        if column.rows and categorical is not None and categorical is not (column.strings is not None):
            found.append(wrongs.misfit(column, categorical))
    if not found:
        return None
    reason = "; ".join(f"{one.name}: {one.found} against the version's signature" for one in found)
    return Rejected(batch.endpoint, batch.batch_id, reason[:2000], batch.rows, found[: wrongs.MOST_COLUMNS])


def baseline_columns(
    inputs: Sequence[telemetry.TelemetryColumn], outputs: Sequence[telemetry.TelemetryColumn]
) -> list[Column]:
    """The columns of a baseline; Invalid naming the wrong ones."""
    given = [(types.COLUMN_ROLE_INPUT, one) for one in inputs] + [(types.COLUMN_ROLE_OUTPUT, one) for one in outputs]
    rows = max((_length(one) for _, one in given), default=0)
    try:
        _require(rows > 0, "no values at all")
        return _columns(given, rows)
    except _Unfit as unfit:
        raise Invalid("INVALID_REQUEST", f"values: {unfit}") from unfit
