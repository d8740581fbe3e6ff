"""Prints, as JSON, what processor time Evidently takes for a table of seeded values. It needs evidently."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from evidently import Dataset, Report
from evidently.presets import DataDriftPreset, DataSummaryPreset

ROWS, NUMBERS, TEXTS = 100_000, 10, 2


def frame_of(seed: int) -> Any:
    """The same table that `speed` draws."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"x{at}": random.normal(size=ROWS) for at in range(NUMBERS)}
    for at in range(TEXTS):
        columns[f"c{at}"] = np.array(["red", "green", "blue", "grey"])[random.integers(0, 4, size=ROWS)]
    return pd.DataFrame(columns)


def took(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    before, now = Dataset.from_pandas(frame_of(1)), Dataset.from_pandas(frame_of(2))
    Report([DataSummaryPreset(), DataDriftPreset()]).run(now, before)  # What is done once.
    told = {
        "profile": took(lambda: Report([DataSummaryPreset()]).run(now, None)),
        "drift": took(lambda: Report([DataDriftPreset()]).run(now, before)),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
