"""What a person sees: a spinner while a step is played, one line when it has been, and the auditor's table."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from suite.demo.report import Report

_MOST_KINDS = 5
_MOST_CHARACTERS = 34


class Screen:
    """On a terminal what happens now is shown in place; elsewhere each of it is a line of its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._doing = ""
        self._began = time.monotonic()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Everything until the end is part of `what`."""
        self._doing = what
        if not self._console.is_terminal:
            self._console.print(f"{self._clock()} {escape(what)}", highlight=False, soft_wrap=True)
            yield
            return
        with self._console.status(escape(what)) as self._status:
            yield
        self._status = None

    def note(self, text: str) -> None:
        """What happens just now."""
        if self._status is not None:
            self._status.update(f"{escape(self._doing)} [dim]{escape(text)}[/dim]")
        elif not self._console.is_terminal:
            self._console.print(f"{self._clock()}     {escape(text)}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line that stays. May hold markup."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def step(self, step: dict[str, Any]) -> None:
        """The line of a step: what was recorded."""
        facts, kinds = step["facts"], Counter(fact.get("kind", "unreadable") for fact in step["facts"])
        most = kinds.most_common(_MOST_KINDS)
        told = ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in most)
        told += f" and {len(kinds) - _MOST_KINDS} more kinds" if len(kinds) > _MOST_KINDS else ""
        where = f"{facts[0]['revision']}-{facts[-1]['revision']}: {told}" if facts else "nothing"
        self.say(
            f"[bold green]{step['number']}[/] [bold]{escape(step['title'])}:[/] "
            f"{escape(step['summary'])}. [dim]Recorded {escape(where)} ({step['seconds']:.1f} s)[/]"
        )

    def verdict(self, report: Report) -> None:
        """The auditor's tables: what served, and what was compared."""
        if report.served:
            self._console.print(_served(report))
        table = _table("What was compared", "step", "verification", "expected", "found", "")
        for one in report.verifications:
            mark = "[green]holds[/]" if one.ok else "[bold red]BROKEN[/]"
            told = [_shown(value, report.project) for value in (one.expected, one.found)]
            table.add_row(str(one.step), escape(one.name), *told, mark)
        self._console.print(table)
        held = len(report.verifications) - len(report.broken)
        colour = "green" if report.ok else "bold red"
        self.say(f"[{colour}]{held} of {len(report.verifications)} verifications held[/] in {report.seconds:.0f} s")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"


def _served(report: Report) -> Table:
    """The answer to "what served, and who approved it"."""
    begin, end = (report.served[name][11:19] for name in ("from_time", "to_time"))
    title = f"What served {_shown(report.served['endpoint'], report.project)} between {begin} and {end} UTC"
    table = _table(title, "revisions", "version", "share", "asked by", "approved by")
    for one in report.served["intervals"]:
        revisions = f"{one['from_revision']} to {one['to_revision'] or 'now'}"
        version = _shown(one["version"], report.project)
        approved = escape(", ".join(one["approved_by"]))
        table.add_row(revisions, version, f"{one['percent']} %", escape(one["requested_by"]), approved)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _shown(value: Any, project: str) -> str:
    """A value, short enough for a table; the report has all of it."""
    text = str(value)
    if isinstance(value, list):
        rows = value and isinstance(value[0], dict)
        text = f"{len(value)} rows, see above" if rows else ", ".join(map(str, value)) or "none"
    text = text.replace(f"{project}/", "") if project else text
    return escape(text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…")
