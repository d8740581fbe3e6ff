"""Putting the log back from the archive's copy."""

import asyncio
from pathlib import Path

import click

from modelog.cli import render
from modelog.cli.state import Command, state_of

_ORIGIN = "modelog.local/lifecycle"


@click.command("restore", cls=Command)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("nats_url")
@click.option("--origin", default=_ORIGIN, help=f"Name of the log in its checkpoints. [{_ORIGIN}]")
@click.option("--go-on", is_flag=True, help="Behind a restore that was broken off: what is there is compared first.")
@click.option("--replicas", type=click.IntRange(1, 5), default=1, help="Of the streams where they are made. [1]")
@click.pass_context
def restore(ctx: click.Context, data: Path, nats_url: str, origin: str, go_on: bool, replicas: int) -> None:
    """Fill the empty log at NATS_URL (as the user `provision`) from DATA, the archive's folder.

    The same bytes get the same revisions, so old proofs and checkpoints hold. Start the services afterwards, with empty
    databases: they fold their views anew. Keep DATA as the archive's folder.
    """
    try:
        from suite.restoring import RestoreRefused, restored
    except ImportError as error:
        raise click.ClickException("restoring needs more: pip install 'modelog[server]'") from error
    try:
        size = asyncio.run(restored(data, nats_url, origin, go_on=go_on, replicas=replicas))
    except RestoreRefused as refused:
        raise click.ClickException(str(refused)) from refused
    if state_of(ctx).as_json:
        render.print_json({"size": str(size)})
    else:
        click.echo(f"restored {size} facts, each compared with the copy; now start the services")
