"""A bar on the terminal for what takes longer than a person waits without a sign; nothing where nobody watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modelog.cli import render
from modelog.cli.text import clean

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
