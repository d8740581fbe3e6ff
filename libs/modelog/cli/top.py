"""Endpoints as they are observed now: what each version does, and what its replicas print."""

import sys
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import tail
from modelog.cli.failures import INTERRUPTED
from modelog.cli.names import Name
from modelog.cli.state import Command, State, state_of
from modelog.cli.text import clean
from modelog.cli.values import Span
from modelog.deployment.v1.people_pb2 import ReadReplicaLogsRequest, WatchEndpointRequest


def show_status(state: State, reply: Any) -> int | None:
    """One look as a table."""
    if state.as_json:
        return render.reply(reply, as_json=True)
    from modelog.cli.progressing import replicas

    render.console().print(replicas(reply))
    if reply.problem:
        click.echo(clean(f"not everything could be observed: {reply.problem}"), err=True)
    return None


@click.command("top", cls=Command, method="deployment.WatchEndpoint", short_help="What its versions do, live.")
@click.argument("name", type=Name("endpoint"))
@click.option("--interval", type=Span(), help="How often to look. [1s]")
@click.option("--count", type=click.IntRange(1), help="Stop after so many looks; else with Ctrl-C.")
@click.pass_context
def top(ctx: click.Context, name: str, interval: Any, count: int | None) -> int:
    """Requests per second, errors, latencies, share, replicas, restarts and memory of each version, live.

    Rates and latencies are those between two looks. On a terminal the table changes in place; elsewhere, and with
    --json, each look is printed below the one before.
    """
    state = state_of(ctx)
    request = WatchEndpointRequest(name=name)
    if interval is not None:
        request.interval.FromTimedelta(interval)
    call = state.client().deployment.WatchEndpoint(request)
    try:
        looks = _looks(call, count)
        if sys.stdout.isatty() and not state.as_json:
            _live(name, looks)
        else:
            for status in looks:
                if state.as_json:
                    render.print_json(render.plain(status), line=True)
                else:
                    show_status(state, status)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        call.cancel()
    return 0


def _looks(call: Any, count: int | None) -> Any:
    """The first look only tells from when to count, so it is not one of those that were asked for."""
    for number, reply in enumerate(call):
        if number or count is None:
            yield reply.status
        if count is not None and number == count:
            return


def _live(name: str, looks: Any) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from modelog.cli.progressing import replicas

    with Live(console=render.console(), auto_refresh=False, screen=False) as live:
        for status in looks:
            title = Text(clean(f"{tail(name)}  {status.time.ToDatetime():%H:%M:%SZ}"), style="bold")
            if status.rollout:
                title.append(clean(f"  rollout {tail(status.rollout)} is under way"), style="yellow")
            if status.problem:
                title.append(clean(f"\n{status.problem}"), style="yellow")
            live.update(Group(title, replicas(status)), refresh=True)


@click.command("logs", cls=Command, method="deployment.ReadReplicaLogs", short_help="What its replicas print.")
@click.argument("name", type=Name("endpoint"))
@click.option("--version", type=Name("version"), help="Only of this version.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what they print from now, until Ctrl-C.")
@click.option("--bytes", "tail_bytes", type=click.IntRange(1, 65536), help="The last bytes of each. [16384]")
@click.pass_context
def logs(ctx: click.Context, name: str, version: str | None, follow: bool, tail_bytes: int | None) -> int:
    """What the replicas of an endpoint printed last, each line with the replica that printed it."""
    state = state_of(ctx)
    request = ReadReplicaLogsRequest(name=name, version=version or "", follow=follow, tail_bytes=tail_bytes or 0)
    call = state.client().deployment.ReadReplicaLogs(request)
    try:
        for reply in call:
            if state.as_json:
                render.print_json(render.plain(reply), line=True)
                continue
            if reply.gap:
                click.echo(clean(f"{reply.replica}: more was printed than is kept; some is missing here"), err=True)
            for line in reply.text.splitlines():
                print(clean(f"{reply.replica}  {line}"), flush=follow)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        call.cancel()
    return 0
