"""Columns, profiles, checks and batches as the tests of monitoring need them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats
from services.monitoring.profile import Column, Layout, capture, count, layout_of

ENDPOINT = "projects/risk/endpoints/fraud-eu"
VERSION = "projects/risk/models/fraud/versions/1"
NEXT_VERSION = "projects/risk/models/fraud/versions/2"
MONITOR = "projects/risk/monitors/fraud-eu"
INPUT = types.COLUMN_ROLE_INPUT
OUTPUT = types.COLUMN_ROLE_OUTPUT
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def numbers(name: str, values: Sequence[float] | Floats, role: types.ColumnRole = INPUT) -> Column:
    return Column(name, role, np.asarray(values, dtype=np.float64))


def texts(name: str, values: Sequence[str], role: types.ColumnRole = INPUT) -> Column:
    return Column(name, role, np.empty(0), list(values))


def profiled(layout: Layout, *columns: Column) -> types.ProfileSet:
    return count(columns, layout, columns[0].rows)


def compared(baseline: Column, window: Column) -> tuple[types.ProfileSet, types.ProfileSet]:
    """Profiles of a baseline of one column and of a window counted for it."""
    captured = capture([baseline])
    return captured, profiled(layout_of(captured), window)


def check(method: types.Method, threshold: float = 0.2, **fields: Any) -> types.Check:
    """A check with its defaults written out."""
    values: dict[str, Any] = {
        "id": "drift",
        "minimum_rows": 1,
        "raise_after_windows": 1,
        "resolve_after_windows": 1,
        "severity": types.SEVERITY_WARNING,
    }
    if method == types.METHOD_PSI:
        values |= {"bins": 10}
    if method in (types.METHOD_PSI, types.METHOD_KOLMOGOROV_SMIRNOV, types.METHOD_MISSING_SHARE):
        values |= {"failing_columns": 1}
    return types.Check(method=method, threshold=threshold, **(values | fields))


def column(name: str, values: Sequence[float] | Sequence[str] | Floats) -> telemetry.TelemetryColumn:
    if len(values) and isinstance(values[0], str):
        return telemetry.TelemetryColumn(name=name, strings=[str(one) for one in values])
    return telemetry.TelemetryColumn(name=name, numbers=[float(one) for one in values])


def batch(
    batch_id: str,
    ages: Sequence[float] | Floats,
    *,
    at: datetime = START,
    scores: Sequence[float] | None = None,
    version: str = VERSION,
    **fields: Any,
) -> telemetry.PredictionBatch:
    """A batch of predictions with one input `age` and one output `label`, answered within one second."""
    made = telemetry.PredictionBatch(
        batch_id=batch_id,
        endpoint=ENDPOINT,
        version=version,
        prediction_ids=[f"{batch_id}-{row}" for row in range(len(ages))],
        inputs=[column("age", ages)] if len(ages) else [],
        outputs=[column("label", scores if scores is not None else [1.0] * len(ages))] if len(ages) else [],
    )
    made.start_time.FromDatetime(at)
    made.end_time.FromDatetime(at + timedelta(seconds=1))
    made.MergeFrom(telemetry.PredictionBatch(**fields))
    return made


def outcomes(batch_id: str, labels: dict[str, float], *, at: datetime = START) -> telemetry.OutcomeBatch:
    made = telemetry.OutcomeBatch(
        batch_id=batch_id,
        endpoint=ENDPOINT,
        prediction_ids=list(labels),
        labels=telemetry.TelemetryColumn(name="label", numbers=list(labels.values())),
    )
    made.record_time.FromDatetime(at)
    return made
