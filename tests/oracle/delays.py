"""Prints how soon detectors see a change and how often they see none that is there: `python -m tests.oracle.delays`.

The streams are seeded, so the table in docs/guides/monitoring-checks.md is what this prints.
"""

from collections.abc import Callable
from statistics import median
from typing import Any

from services.monitoring.detectors import Adwin, Ddm, PageHinkley
from tests.oracle.streams import CHANGE, all_streams

SEEDS = 30
DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN": Adwin,
    "Page-Hinkley": PageHinkley,
    "Page-Hinkley, allowance 0.1, threshold 20": lambda: PageHinkley(20.0, 0.1, 0.9999, 10),
    "DDM": Ddm,
}


def row(stream: str, detector: str) -> str:
    early, delays = 0, []
    for seed in range(SEEDS):
        one = DETECTORS[detector]()
        seen = [at for at, value in enumerate(all_streams(seed)[stream]) if one.update(value)]
        early += sum(at < CHANGE for at in seen)
        delays += [min(at for at in seen if at >= CHANGE) - CHANGE] if seen and seen[-1] >= CHANGE else []
    shown = f"{median(delays):.0f}" if delays else "-"
    return f"| {stream} | {detector} | {len(delays)} of {SEEDS} | {shown} | {early / SEEDS:.2f} |"


def main() -> None:
    print("| stream | detector | changes seen | median delay, values | alarms before it, in 1000 values |")
    print("|---|---|---|---|---|")
    for stream in all_streams(0):
        for detector in DETECTORS:
            if stream.startswith("errors") or detector != "DDM":
                print(row(stream, detector))


if __name__ == "__main__":
    main()
