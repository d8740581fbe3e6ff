"""Writes detectors.json: where river sees seeded streams change. Run it as `make oracle-monitoring`; it needs river."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from river import drift
from river.drift.binary import DDM

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.oracle.streams import all_streams  # noqa: E402

SEEDS = 4
PEERS: dict[str, Callable[[], Any]] = {
    "adwin": drift.ADWIN,
    "adwin every value": lambda: drift.ADWIN(clock=1),
    "page-hinkley": drift.PageHinkley,
    "page-hinkley strict": lambda: drift.PageHinkley(threshold=20.0, delta=0.1, min_instances=10),
    "ddm": DDM,
}


def changes(detector: Any, stream: list[float]) -> list[int]:
    """The places at which the detector sees a change."""
    found = []
    for place, value in enumerate(stream):
        detector.update(value)
        if detector.drift_detected:
            found.append(place)
    return found


def main() -> None:
    cases = [
        {"detector": name, "stream": stream, "seed": seed, "changes": changes(peer(), values)}
        for seed in range(SEEDS)
        for stream, values in all_streams(seed).items()
        for name, peer in PEERS.items()
        if name != "ddm" or stream.startswith("errors")
    ]
    told = {"peer": f"river {sys.modules['river'].__version__}", "cases": cases}
    (HERE / "detectors.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
