"""`make bench`: every measure as a ratio to a floor of the same run, on servers of the run's own.

python -m tests.bench [--only write,read] [--quick] [--rounds 3] [--strict]
"""

import argparse
import asyncio
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from suite.postgres_server import PostgresServer
from tests.bench import (
    access,
    calls,
    compare,
    evidence,
    exports,
    gateway,
    imports,
    inference,
    moments,
    profiles,
    rollouts,
    search,
    sizes,
    sketches,
    telemetry,
    tokens,
    views,
    witnessing,
)
from tests.bench.effort import QUICK, Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome, keep, machine, show

MEASURES: Mapping[str, Callable[[Ground, Effort], Awaitable[Outcome]]] = {
    "write": calls.write,
    "reasons": calls.reasons,
    "read": calls.read,
    "as-of": moments.as_of,
    "visible": views.visible,
    "fold": views.fold,
    "search": search.search,
    "indexing": search.indexing,
    "depth": sizes.depth,
    "memory": sizes.memory,
    "compare": compare.compare,
    "access-write": access.write,
    "access-read": access.read,
    "tokens": tokens.tokens,
    "bulk": imports.bulk,
    "import": imports.bring,
    "export": exports.export,
    "profiles": profiles.profiles,
    "ingest": profiles.ingest,
    "judging": profiles.judging,
    "sketches": sketches.sketches,
    "telemetry-memory": telemetry.memory,
    "logging": telemetry.logging,
    "gateway": gateway.gateway,
    "inference": inference.inference,
    "batching": inference.batching,
    "rollouts": rollouts.rollouts,
    "controller": rollouts.at_rest,
    "verify": evidence.verify,
    "proof": evidence.proof,
    "witness": witnessing.witness,
    "notary": witnessing.notary,
    "replay": evidence.replay,
}
_PLAIN_WIDTH = 120  # Of a log file, which has none.
RESULTS = Path(".modelog/bench/results.json")


async def main(arguments: argparse.Namespace, console: Console) -> int:
    """Runs the chosen measures one after the other; a measure that fails ends the run with its error."""
    effort = QUICK if arguments.quick else Effort()
    if arguments.rounds:
        effort = dataclasses.replace(effort, rounds=arguments.rounds, rebuilds=arguments.rounds)
    load = os.getloadavg()
    facts: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": load,
        "effort": dataclasses.asdict(effort),
    }
    if load[0] > 0.5 * (os.cpu_count() or 1):
        console.print(f"[yellow]the machine is busy already (load {load[0]:.1f}): believe the ratios only[/]")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="modelog-bench-") as folder:
        async with PostgresServer(Path(folder) / "postgres") as postgres:
            ground = Ground(Path(folder), postgres)
            for name in arguments.only:
                began = time.monotonic()
                with console.status(f"{name} ..."):
                    outcomes.append(await MEASURES[name](ground, effort))
                console.print(f"{name} took {time.monotonic() - began:.0f} s", style="dim")
                keep(RESULTS, outcomes, facts)
    show(outcomes, console)
    console.print(f"load before: {load[0]:.1f} on {os.cpu_count()} cores; every single measurement is in {RESULTS}")
    return 1 if arguments.strict and not all(one.met for one in outcomes) else 0


def chosen(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in MEASURES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(MEASURES)}")
    return names


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", type=chosen, default=list(MEASURES), help="some measures, with commas between")
    parser.add_argument("--quick", action="store_true", help="a minute instead of six; figures are rougher")
    parser.add_argument("--rounds", type=int, default=0, help="how often floor and service take turns")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a target is missed")
    return parser.parse_args()


if __name__ == "__main__":
    terminal = Console()
    sys.exit(asyncio.run(main(parsed(), terminal if terminal.is_terminal else Console(width=_PLAIN_WIDTH))))
