"""A rollout's progress: a line that changes on a terminal, a line for each change elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from modelog.cli import render
from modelog.cli.cells import Cell, enum, summary
from modelog.cli.failures import FAILED
from modelog.cli.state import State
from modelog.cli.text import clean

_LOOK_SECONDS = 0.5
_ENDED = ("succeeded", "rolled-back", "failed")


def watch(state: State, name: str) -> int:
    """Until the rollout ends; 0 when the version serves, 1 otherwise."""
    last = ""
    with _line() as show:
        for rollout, traffic in _looks(state, name):
            word = _state(rollout).text
            if state.as_json:
                if str(rollout.generation) != last:
                    render.print_json(render.plain(rollout), line=True)
                last = str(rollout.generation)
            elif (told := _told(rollout, traffic)) != last:
                show(clean(told))
                last = told
            if word in _ENDED:
                return 0 if word == "succeeded" else FAILED
    return FAILED


def _looks(state: State, name: str) -> Iterator[tuple[Any, str]]:
    """The rollout and its endpoint's traffic, again and again."""
    from modelog.deployment.v1.deployment_service_pb2 import GetEndpointRequest, GetRolloutRequest

    endpoint = name.rpartition("/rollouts/")[0]
    while True:
        rollout = state.call("deployment.GetRollout", GetRolloutRequest(name=name))
        serving = state.call("deployment.GetEndpoint", GetEndpointRequest(name=endpoint))
        yield rollout, (summary(serving.DESCRIPTOR.fields_by_name["traffic"], serving.traffic) or Cell("")).text
        time.sleep(_LOOK_SECONDS)


def _state(rollout: Any) -> Cell:
    return enum(rollout.DESCRIPTOR.fields_by_name["state"], rollout.state)


def _told(rollout: Any, traffic: str) -> str:
    parts = [rollout.name, _state(rollout).text]
    steps = len(rollout.strategy.canary.steps)
    if steps:
        parts.append(f"step {rollout.steps_passed} of {steps}")
    result = rollout.last_result
    if result.requests:
        parts.append(f"{result.requests} requests, {result.error_rate:.1%} failed")
    parts += [part for part in (traffic, rollout.cause) if part]
    return " · ".join(parts)


@contextlib.contextmanager
def _line() -> Iterator[Any]:
    """A function that shows a text: in place on a terminal, as a line elsewhere."""
    if not sys.stdout.isatty():
        yield lambda text: print(text, flush=True)
        return
    with render.console().status("") as status:
        last = ""

        def show(text: str) -> None:
            nonlocal last
            last = text
            status.update(text)

        yield show
    print(last)
