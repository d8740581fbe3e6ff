"""A rollout's progress: a picture that changes on a terminal, a line for each change elsewhere."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from modelog.cli import render
from modelog.cli.cells import Cell, enum, summary, tail
from modelog.cli.failures import FAILED, INTERRUPTED
from modelog.cli.progressing import Seen, picture
from modelog.cli.state import State
from modelog.cli.text import clean

_LOOK_SECONDS = 1.0
_ENDED = ("succeeded", "rolled-back", "failed")


def watch(state: State, name: str) -> int:
    """Until the rollout ends; 0 when the version serves, 1 when it went back or failed, 130 after Ctrl-C."""
    try:
        return _watched(state, name)
    except KeyboardInterrupt:
        endpoint = tail(name.rpartition("/rollouts/")[0])
        told = [
            f"the rollout goes on without you; watch it again: modelog rollouts watch {tail(name)}",
            f"bring back what served before:          modelog rollouts rollback {endpoint}",
        ]
        print("\n".join(clean(one) for one in told), file=sys.stderr)
        return INTERRUPTED


def _watched(state: State, name: str) -> int:
    live = sys.stdout.isatty() and not state.as_json
    looks = state.client().watch_rollout(
        name, interval_seconds=_LOOK_SECONDS if live else 0.0, patience_seconds=state.timeout
    )
    seen = Seen()
    with _screen(seen) if live else _lines(as_json=state.as_json) as show:
        for reply in looks:
            changed = reply.HasField("rollout")
            seen.take(reply)
            show(seen, changed)
    word = _word(seen.rollout)
    if live and word in _ENDED:
        print(clean(_told(seen)))
    return 0 if word == "succeeded" else FAILED


def _word(rollout: Any) -> str:
    return enum(rollout.DESCRIPTOR.fields_by_name["state"], rollout.state).text


def _told(seen: Seen) -> str:
    """One line: the rollout, its state, its step, what was measured, who has which share, why."""
    rollout = seen.rollout
    parts = [rollout.name, _word(rollout)]
    steps = len(rollout.strategy.canary.steps)
    if steps:
        parts.append(f"step {rollout.steps_passed} of {steps}")
    result = rollout.last_result
    if result.requests:
        parts.append(f"{result.requests} requests, {result.error_rate:.1%} failed")
    told = summary(seen.shares.DESCRIPTOR.fields_by_name["traffic"], seen.shares.traffic) or Cell("")
    parts += [part for part in (told.text, rollout.cause) if part]
    if _word(rollout) == "paused":
        parts.append(f"go on: modelog rollouts resume {tail(rollout.name)}")
    return " · ".join(parts)


@contextlib.contextmanager
def _lines(*, as_json: bool) -> Iterator[Any]:
    """A line for each change; with JSON the rollout after each of its facts."""
    last = ""

    def show(seen: Seen, changed: bool) -> None:
        nonlocal last
        if as_json and changed:
            render.print_json(render.plain(seen.rollout), line=True)
        elif not as_json and (told := _told(seen)) != last:
            print(clean(told), flush=True)
            last = told

    yield show


@contextlib.contextmanager
def _screen(seen: Seen) -> Iterator[Any]:
    """The whole picture, drawn anew in place; clocks in it move between two replies as well."""
    from rich.live import Live

    with Live(console=render.console(), get_renderable=lambda: picture(seen), refresh_per_second=4) as live:
        yield lambda _seen, _changed: live.refresh()
