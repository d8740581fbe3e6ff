"""Profiles and drift of a table of seeded values against Evidently's time for the same:
`python -m tests.oracle.speed .venv-oracle-evidently/bin/python`. Ends with status 1 below five times its speed.

Both take turns; processor time, tables in memory. Evidently's summary tells more of a column than our profile holds,
and ours is made to be merged.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.profile import Column, capture, count, layout_of
from tests.monitoring.build import INPUT, check

ROWS, NUMBERS, TEXTS, ROUNDS = 100_000, 10, 2, 3
LEAST = 5.0
PEER = Path(__file__).with_name("summaries.py")


def columns_of(seed: int) -> list[Column]:
    """The same values that `summaries` draws."""
    random = np.random.default_rng(seed)
    columns = [Column(f"x{at}", INPUT, random.normal(size=ROWS)) for at in range(NUMBERS)]
    for at in range(TEXTS):
        drawn = np.array(["red", "green", "blue", "grey"])[random.integers(0, 4, size=ROWS)]
        columns.append(Column(f"c{at}", INPUT, np.empty(0), drawn.tolist()))
    return columns


def took(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ours() -> dict[str, float]:
    baseline = capture(columns_of(1))
    layout, columns = layout_of(baseline), columns_of(2)
    drift = check(types.METHOD_DRIFT, 0.1)
    return {
        "profile": took(lambda: count(columns, layout, ROWS)),
        "drift": took(lambda: evaluate(drift, count(columns, layout, ROWS), baseline)),
    }


def main(peer: str) -> int:
    rounds = []
    for _ in range(ROUNDS):
        told = subprocess.run([peer, str(PEER)], check=True, capture_output=True, text=True).stdout
        rounds.append((json.loads(told.splitlines()[-1]), ours()))
    ratios = {what: median(theirs[what] / mine[what] for theirs, mine in rounds) for what in ("profile", "drift")}
    for what, one in ratios.items():
        print(f"{what} of {ROWS:,} rows of {NUMBERS + TEXTS} columns: {one:.1f} times as fast as Evidently")
    return int(min(ratios.values()) < LEAST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
