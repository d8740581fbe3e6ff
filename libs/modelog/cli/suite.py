"""The whole suite on this machine: in the foreground, or playing its demo."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.state import Command, state_of

_FOLDER = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept.",
)


@click.command("up", cls=Command)
@_FOLDER
@click.pass_context
def up(ctx: click.Context, data_dir: Path | None) -> int:
    """Run NATS, Postgres, Envoy and the four services here until Ctrl-C; data stays under .modelog/."""
    try:
        from suite.folder import FolderInUse
        from suite.issuer import person
        from suite.process import StartError
        from suite.suite import Suite
    except ImportError as error:
        raise _missing("server,inference,embedded", error) from error
    state = state_of(ctx)
    # Two of them, because what concerns production takes two: `modelog --as users/deputy` is the second.
    suite = Suite(data_dir or Path(".modelog"), identity="roles", administrators=(person(), "users/deputy"), say=_say)
    try:
        asyncio.run(_run(suite, as_json=state.as_json))
    except (FolderInUse, StartError) as error:
        # Of what a service printed before it ended, the last line says why; the log it names has the rest.
        lines = str(error).splitlines()
        raise click.ClickException(" ".join(dict.fromkeys((lines[0], lines[-1])))) from error
    return 0


@click.command("demo", cls=Command)
@_FOLDER
@click.pass_context
def demo(ctx: click.Context, data_dir: Path | None) -> int:
    """Play one model's whole life on a suite of its own, and audit it."""
    try:
        from suite import demo as played

        return played.main(data_dir or Path(".modelog") / "demo", state_of(ctx).as_json)
    except ImportError as error:
        raise _missing("server,inference,embedded,demo", error) from error


async def _run(suite: Any, *, as_json: bool) -> None:
    """Until the first signal to stop, which also ends a start that is under way; later ones do not disturb the end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stopped.set)
    running = asyncio.create_task(_serve(suite, as_json=as_json))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        return running.result()
    click.echo("stopping", err=True)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return None


async def _serve(suite: Any, *, as_json: bool) -> None:
    """Until it is cancelled."""
    async with suite:
        if as_json:
            render.print_json({"folder": str(suite.folder), "services": suite.addresses}, line=True)
        else:
            rows = [*suite.addresses.items(), ("nats", suite.nats.address), ("postgres", suite.postgres.url)]
            render.table(["part", "address"], rows)
            click.echo(f"data in {suite.folder}; Ctrl-C stops it", err=True)
            click.echo(
                "`modelog` knows you here; --as users/ada calls as somebody else: see `modelog whoami`", err=True
            )
        await asyncio.Event().wait()


def _say(name: str, what: str) -> None:
    click.echo(f"{name}: {what}", err=True)


def _missing(extras: str, error: ImportError) -> click.ClickException:
    return click.ClickException(
        f"this needs servers, which `pip install modelog` leaves out ({error.name or error} is missing): "
        f"pip install 'modelog[{extras}]'"
    )
