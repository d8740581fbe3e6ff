"""The monitoring service, which dies as by a loss of power where a file says so: `python -m tests.monitoring.dying`.

The file `dies` in the working folder tells the point, before or after it, and the how manieth time: `counted after 3`.
It is gone once it is read, so that the next life is a long one.
"""

import os
import signal
from pathlib import Path
from typing import Any

from kernel.service import run
from services.monitoring.__main__ import BLUEPRINT
from services.monitoring.evaluator import Evaluator
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.consumer import Consumer
from services.monitoring.telemetry.publishing import Publisher

FILE = "dies"
# What is done to the stream, the tables and the log, by name: who does it, and as what.
POINTS: dict[str, tuple[Any, str]] = {
    "published": (Publisher, "publish"),
    "remembered": (queries, "remember_batches"),
    "awaited": (queries, "wait_for_labels"),
    "joined": (queries, "take_predictions"),
    "saved": (queries, "save_lanes"),
    "moved": (queries, "move_position"),
    "counted": (Consumer, "_take"),
    "profiled": (queries, "keep_profile"),
    "evaluated": (Evaluator, "_evaluate"),
    "forgotten": (queries, "forget_window"),
}


def die_at(point: str, moment: str, time: int) -> None:
    """Arms one point. moment: `before` or `after`; time: 1 for the first time it is come to."""
    owner, name = POINTS[point]
    done = getattr(owner, name)
    came = 0

    async def dying(*values: Any, **named: Any) -> Any:
        nonlocal came
        came += 1
        last = came == time
        if last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = await done(*values, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dying)


if __name__ == "__main__":
    if (file := Path(FILE)).exists():
        told, where, count = file.read_text().split()
        file.unlink()
        die_at(told, where, int(count))
    run(BLUEPRINT)
