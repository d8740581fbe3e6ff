"""What it costs to make profiles of rows, beside a pass of numpy that only counts and sums them, and to judge them."""

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate_all
from services.monitoring.domain.checking import complete_checks
from services.monitoring.exact import Floats
from services.monitoring.profile import Column, Layout, capture, count, layout_of, merge
from services.monitoring.telemetry.batches import Predictions, read
from services.monitoring.telemetry.rows import rows_of
from services.monitoring.windows import Lane, Plan
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio
from tests.monitoring.build import MONITOR, VERSION, batch

_TARGET = 0.25
_COLUMNS = 50
_BATCH_ROWS = 100_000
_EVALUATED_COLUMNS = 100
_MESSAGE_ROWS = 600  # Of 50 columns: a little below what one message may hold.
_AT_ONCE = 32  # Messages in one transaction of the consumer.
_JUDGING_TARGET_MS = 200.0


async def profiles(_ground: Ground, effort: Effort) -> Outcome:
    """Batches of 50 columns into one window's profiles, merged one after the other."""
    rounds = [_round(max(1, effort.verifications // 20_000)) for _ in range(effort.rounds)]
    lower, ours = [one[0] for one in rounds], [one[1] for one in rounds]
    return Outcome(
        name="profiles",
        question="values into profiles / counted and summed by numpy",
        figure=ratio(rounds),
        target=_TARGET,
        unit="values/s",
        ours=f"{middle(ours, 'per_second'):,.0f}/s",
        floor=f"{middle(lower, 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={"its profiles": f"{middle(ours, 'bytes_a_column'):.0f} bytes a column"},
    )


async def ingest(_ground: Ground, effort: Effort) -> Outcome:
    """A million rows of 50 columns from Arrow messages as Ingest passes them on, read, checked and counted into windows
    as the consumer does it, beside the same pass of numpy."""
    rounds = [_ingested(max(1, effort.verifications // 4_000)) for _ in range(effort.rounds)]
    lower, ours = [one[0] for one in rounds], [one[1] for one in rounds]
    return Outcome(
        name="ingest",
        question="values from Arrow messages into windows / counted and summed by numpy",
        figure=ratio(rounds),
        target=_TARGET,
        unit="values/s",
        ours=f"{middle(ours, 'per_second'):,.0f}/s",
        floor=f"{middle(lower, 'per_second'):,.0f}/s",
        rounds=rounds,
    )


async def judging(_ground: Ground, effort: Effort) -> Outcome:
    """A window of 100 columns by three checks that look at every column."""
    took = [{"ms": _evaluate_ms()} for _ in range(effort.rounds)]
    return Outcome(
        name="judging",
        question=f"judging a window of {_EVALUATED_COLUMNS} columns by drift, PSI and dataset drift",
        figure=middle(took, "ms"),
        target=_JUDGING_TARGET_MS,
        unit="ms",
        ours=f"{middle(took, 'ms'):.0f} ms",
        at_most=True,
        is_ratio=False,
        rounds=took,
    )


def _ingested(turns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Processor time of both; messages are written between."""
    random = np.random.default_rng(1)
    names = [f"x{at:02}" for at in range(_COLUMNS)]
    layout = _layout(names)
    spec = types.WindowSpec(size_rows=100_000)
    plan = Plan(MONITOR, spec, "", layout, "", frozenset({types.TRACK_PREDICTIONS}))
    lane = Lane(MONITOR, VERSION, types.TRACK_PREDICTIONS)
    lower = ours = 0.0
    for turn in range(turns):
        values = random.normal(size=(_COLUMNS, _AT_ONCE * _MESSAGE_ROWS))
        messages = [
            _message(names, values[:, at : at + _MESSAGE_ROWS]) for at in range(0, values.shape[1], _MESSAGE_ROWS)
        ]
        columns = [Column(name, types.COLUMN_ROLE_INPUT, one) for name, one in zip(names, values, strict=True)]
        lower += _counted_and_summed(columns, layout)
        began = time.process_time()
        for position, message in enumerate(messages):
            told = read("telemetry.predictions.risk.fraud-eu", message)
            assert isinstance(told, Predictions)
            lane.add(plan, rows_of(plan, told, turn * _AT_ONCE + position + 1))
        for window in lane.windows:
            window.settle()
        ours += time.process_time() - began
        lane.windows = [one for one in lane.windows if not one.closed]
    every = turns * _AT_ONCE * _MESSAGE_ROWS * _COLUMNS
    return {"per_second": every / lower}, {"per_second": every / ours}


def _message(names: Sequence[str], values: Floats) -> bytes:
    """A PredictionBatch whose rows are an Arrow stream."""
    table = pa.table(dict(zip(names, values, strict=True)))
    written = io.BytesIO()
    with pa.ipc.new_stream(written, table.schema) as writer:
        writer.write_table(table)
    return batch("b", [], arrow=written.getvalue()).SerializeToString()


def _layout(names: Sequence[str]) -> Layout:
    random = np.random.default_rng(1)
    return layout_of(capture([Column(name, types.COLUMN_ROLE_INPUT, random.normal(size=20_000)) for name in names]))


def _counted_and_summed(columns: Sequence[Column], layout: Layout) -> float:
    """Processor seconds of the floor."""
    began = time.process_time()
    for one in columns:
        edges = layout[one.key].edges
        assert edges is not None
        np.histogram(one.numbers, edges)
        one.numbers.sum()
        np.square(one.numbers).sum()
    return time.process_time() - began


def _round(batches: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Processor time of both, which other load on the machine does not spoil."""
    random = np.random.default_rng(1)
    names = [f"x{at:02}" for at in range(_COLUMNS)]
    layout = _layout(names)
    lower = ours = 0.0
    window = types.ProfileSet()
    for _ in range(batches):
        columns = [Column(name, types.COLUMN_ROLE_INPUT, random.normal(size=_BATCH_ROWS)) for name in names]
        lower += _counted_and_summed(columns, layout)
        began = time.process_time()
        window = merge(window, count(columns, layout, _BATCH_ROWS))
        ours += time.process_time() - began
    values = batches * _BATCH_ROWS * _COLUMNS
    told = {"per_second": values / ours, "bytes_a_column": window.ByteSize() / _COLUMNS}
    return {"per_second": values / lower}, told


def _evaluate_ms() -> float:
    random = np.random.default_rng(2)
    names = [f"x{at:03}" for at in range(_EVALUATED_COLUMNS)]
    baseline = capture([Column(name, types.COLUMN_ROLE_INPUT, random.normal(size=5_000)) for name in names])
    columns = [Column(name, types.COLUMN_ROLE_INPUT, random.normal(0.1, size=5_000)) for name in names]
    window = count(columns, layout_of(baseline), 5_000)
    checks = complete_checks(
        types.Check(id=f"c{method}", method=method, threshold=0.1)
        for method in (types.METHOD_DRIFT, types.METHOD_PSI, types.METHOD_DATASET_DRIFT)
    )
    began = time.process_time()
    evaluate_all(checks, types.TRACK_PREDICTIONS, window, baseline)
    return (time.process_time() - began) * 1e3
