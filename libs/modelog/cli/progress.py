"""A bar on the terminal for what takes longer than a person waits without a sign; nothing where nobody watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from modelog.cli import render
from modelog.cli.text import clean

if TYPE_CHECKING:
    from modelog.sdk import store

# What is going on, how many are done, how many there are.
Told = Callable[[str, int, int], None]


@contextmanager
def bar(*, shown: bool = True) -> Iterator[Told]:
    """A bar on stderr while that is a terminal, one line for each thing that is told of."""
    console = render.console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, int] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(clean(what), total=total)
            progress.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield told


@contextmanager
def transfer(text: str, *, shown: bool = True) -> "Iterator[store.Progress | None]":
    """What to call with the bytes done and their total; None where nobody watches."""
    console = render.console(stderr=True)
    if not (shown and console.is_terminal):
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(clean(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
