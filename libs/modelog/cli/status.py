"""How the services are doing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell, time
from modelog.cli.failures import FAILED, UNAVAILABLE
from modelog.cli.state import Command, State, state_of
from modelog.sdk.errors import NotConfigured, Refused
from modelog.sdk.settings import SERVICES
from modelog.status.v1.status_service_pb2 import GetStatusRequest, GetStatusResponse

_TITLES = ("service", "state", "position", "head", "lag", "quarantined", "drift", "version", "since")


@click.command("status", cls=Command)
@click.pass_context
def status(ctx: click.Context) -> int:
    """How the services are doing: how far their views are, and what is wrong.

    Exit status: 6 when one cannot be reached, 1 when one stands still, froze a resource, or the log's configuration
    has drifted from the pinned one, or whose views differ from what the log makes.
    """
    state = state_of(ctx)
    state.client()
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        answers = list(pool.map(lambda service: _ask(state, service), SERVICES))
    if state.as_json:
        render.print_json({name: _plain(answer) for name, answer in zip(SERVICES, answers, strict=True)})
    else:
        render.table(_TITLES, [_row(name, answer) for name, answer in zip(SERVICES, answers, strict=True)])
        _wrong(answers)
    if any(isinstance(answer, Exception) for answer in answers):
        return UNAVAILABLE
    return FAILED if any(_sick(answer) for answer in answers) else 0


def _ask(state: State, service: str) -> Any:
    try:
        return state.client().status(service).GetStatus(GetStatusRequest())
    except (Refused, NotConfigured) as error:
        return error


def _sick(answer: GetStatusResponse) -> bool:
    return bool(answer.halted or answer.quarantined or answer.drift or _different(answer))


def _different(answer: GetStatusResponse) -> bool:
    return bool(answer.comparison.finding_count or answer.comparison.alarm_reason)


def _plain(answer: Any) -> dict[str, Any]:
    return {"error": str(answer)} if isinstance(answer, Exception) else render.plain(answer)


def _row(name: str, answer: Any) -> list[Cell | str]:
    if isinstance(answer, Exception):
        return [name, Cell("unreachable", "red"), *[""] * (len(_TITLES) - 2)]
    word = Cell("HALTED", "red") if answer.halted else Cell("serving", "yellow" if _sick(answer) else "green")
    return [
        name,
        word,
        str(answer.position),
        str(answer.head),
        str(max(answer.head - answer.position, 0)),
        Cell(str(len(answer.quarantined)), "red" if answer.quarantined else ""),
        Cell(str(len(answer.drift)), "red" if answer.drift else ""),
        answer.version,
        time(answer.start_time),
    ]


def _wrong(answers: list[Any]) -> None:
    """What a person has to look at, in words."""
    rows: list[list[Cell | str]] = []
    for name, answer in zip(SERVICES, answers, strict=True):
        if isinstance(answer, Exception):
            rows.append([name, str(answer)])
            continue
        if answer.halted:
            rows.append([name, f"stands still: {answer.halted}"])
        rows += [
            [name, f"quarantined {one.name} at revision {one.revision}: {one.reason}"] for one in answer.quarantined
        ]
        rows += [[name, f"the log's configuration: {text}"] for text in answer.drift]
        if _different(answer):
            count, alarm = answer.comparison.finding_count, answer.comparison.alarm_message
            rows.append([name, alarm or f"{count} rows of its views are not what the log makes them: `audit scrub`"])
    if rows:
        render.table(["service", "what is wrong"], rows)
