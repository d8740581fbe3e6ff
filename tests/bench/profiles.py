"""What it costs to make profiles of rows, beside a pass of numpy that only counts and sums them."""

import time
from typing import Any

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate_all
from services.monitoring.domain.checking import complete_checks
from services.monitoring.profile import Column, capture, count, layout_of, merge
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, middle, ratio

_TARGET = 0.25
_COLUMNS = 50
_BATCH_ROWS = 100_000
_EVALUATED_COLUMNS = 100


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
        notes={
            "a window of 100 columns": f"{middle(ours, 'evaluate_ms'):.0f} ms to judge by three checks",
            "its profiles": f"{middle(ours, 'bytes_a_column'):.0f} bytes a column",
        },
    )


def _round(batches: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Processor time of both, which other load on the machine does not spoil."""
    random = np.random.default_rng(1)
    names = [f"x{at:02}" for at in range(_COLUMNS)]
    baseline = capture([Column(name, types.COLUMN_ROLE_INPUT, random.normal(size=20_000)) for name in names])
    layout = layout_of(baseline)
    lower = ours = 0.0
    window = types.ProfileSet()
    for _ in range(batches):
        columns = [Column(name, types.COLUMN_ROLE_INPUT, random.normal(size=_BATCH_ROWS)) for name in names]
        began = time.process_time()
        for one in columns:
            edges = layout[one.key].edges
            assert edges is not None
            np.histogram(one.numbers, edges)
            one.numbers.sum()
            np.square(one.numbers).sum()
        lower += time.process_time() - began
        began = time.process_time()
        window = merge(window, count(columns, layout, _BATCH_ROWS))
        ours += time.process_time() - began
    values = batches * _BATCH_ROWS * _COLUMNS
    told = {"per_second": values / ours, "bytes_a_column": window.ByteSize() / _COLUMNS, "evaluate_ms": _evaluate_ms()}
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
