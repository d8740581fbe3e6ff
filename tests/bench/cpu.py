"""Processor time by process: where an operation's time goes, and a figure that a busy machine does not spoil."""

from collections.abc import Mapping

import psutil


class Meter:
    """Counts the processor time of named processes, each with all its descendants, from here on."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = self._seconds()

    def each(self, operations: int) -> dict[str, int]:
        """Microseconds of processor time per operation, by name."""
        now = self._seconds()
        return {name: round((now[name] - self._before[name]) / operations * 1e6) for name in self._pids}

    def _seconds(self) -> Mapping[str, float]:
        return {name: sum(map(_spent, family(pid))) for name, pid in self._pids.items()}


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # Of children that have ended, too, where the system keeps that: a backend of Postgres lives as long as its client.
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)
