"""The demo as a program: whatever happens, there is a report, and the exit status tells whether all of it held."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from modelog.sdk import Hole, NotConfigured, Refused
from suite.demo.journal import Late
from suite.demo.play import play
from suite.demo.report import Report
from suite.demo.screen import Screen
from suite.folder import FolderInUse
from suite.process import StartError

_WIDTH = 132
_EXPECTED = (StartError, Late, Refused, Hole, NotConfigured)


def run(folder: Path, *, as_json: bool) -> int:
    """0 when the play came to its end and every verification held, 1 otherwise, 130 when it was interrupted."""
    console = Console(stderr=as_json)
    # Where nobody looks there is no width to keep to; the tables want this much.
    screen = Screen(console if console.is_terminal else Console(stderr=as_json, width=_WIDTH))
    report, target = Report(), folder / "report.json"
    screen.say("One model's whole life: every step is recorded as facts, and an auditor checks all of it at the end.\n")
    try:
        asyncio.run(play(folder / "data", report, screen))
    except FolderInUse as error:  # The report there is that of the other play.
        screen.say(f"[bold red]{escape(str(error))}[/]")
        return 1
    except KeyboardInterrupt:
        screen.say("[bold red]interrupted[/]")
        return 130
    except _EXPECTED as error:
        report.failure = f"{type(error).__name__}: {error}"
    report.write(target)
    screen.say("")
    if report.verifications:
        screen.verdict(report)
    if report.failure:
        logs = folder / "data" / "logs"
        screen.say(f"[bold red]step {len(report.steps) + 1}: {escape(report.failure)}[/]\nlogs are in {logs}")
    screen.say(f"[dim]{target}[/]")
    if as_json:
        sys.stdout.write(report.as_json())
    return 0 if report.ok else 1
