"""Bringing over what was kept in another registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import FAILED
from modelog.cli.names import Name
from modelog.cli.progress import bar
from modelog.cli.state import Command, Noun, state_of
from modelog.cli.values import Pair

_COLUMNS = ("imported", "would be imported", "already there", "skipped")
_SHOWN = 40


def _users(path: Path | None) -> Mapping[str, str]:
    """A map of MLflow's users to principals; UsageError for a file that is none."""
    if path is None:
        return {}
    from modelog.mlflow.plain_yaml import plain

    try:
        said: Any = plain(path.read_text(encoding="utf-8")) or {}
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from error
    if not isinstance(said, dict) or not all(isinstance(one, str) and "/" in one for one in said.values()):
        raise click.UsageError(f"{path}: write one `name at MLflow: users/ada` a line")
    return {str(key): value for key, value in said.items()}


def _told(report: Any) -> None:
    """For people: how many of each kind came to what, what was skipped and why, what of the rest was left out."""
    counts = report.counts()
    shown = [one for one in _COLUMNS if any(one in of for of in counts.values())]
    render.table(["", *shown], [[kind, *(str(of.get(one, 0)) for one in shown)] for kind, of in counts.items()])
    skipped = list(report.skipped())
    if skipped:
        click.echo("")
        rows = [[f"{one.kind} {one.source}", Cell(one.reason, "yellow"), one.message] for one in skipped[:_SHOWN]]
        render.table(["skipped", "reason", "message"], rows)
    noted = [one for one in report.lines if one.notes]
    if noted:
        click.echo("")
        rows = [[f"{one.kind} {one.source}", "; ".join(one.notes)] for one in noted[:_SHOWN]]
        render.table(["left out or otherwise here", "what"], rows)
    for what in (skipped, noted):
        if len(what) > _SHOWN:
            click.echo(f"{len(what) - _SHOWN} more are not shown; --json tells all", err=True)


@click.command(
    "mlflow",
    cls=Command,
    short_help="Registered models, versions, runs and aliases of an MLflow tracking server.",
    params=[
        click.Option(["--tracking-uri"], help="https://host or http://host:5000; else MLFLOW_TRACKING_URI."),
        click.Option(["--project"], type=Name("project"), required=True, help="Where its models come to."),
        click.Option(["--model", "patterns"], multiple=True, help="Only models of such a name, `fraud*`. Repeat it."),
        click.Option(["--rename", "renames"], type=Pair(), multiple=True, help='Another id: "Fraud Model"=fraud.'),
        click.Option(["--users"], type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="YAML: MLflow's users to principals; others become users/<name>."),
        click.Option(["--higher-is-better", "higher"], multiple=True, help="Metrics of such a name, `*_score`."),
        click.Option(["--lower-is-better", "lower"], multiple=True, help="Metrics of such a name."),
        click.Option(["--update"], is_flag=True, help="Move aliases and tags that are otherwise there."),
        click.Option(["--known-as"], help="The address it had when it was first imported from."),
        click.Option(["--plain-text"], is_flag=True, help="Send credentials over http to another machine."),
        click.Option(["--reason"], default="imported from MLflow", show_default=True, help="Recorded with each fact."),
        click.Option(["--dry-run"], is_flag=True, help="Only say what would be brought over."),
    ],
)  # fmt: skip
@click.pass_context
def mlflow(ctx: click.Context, /, **values: Any) -> int:
    """Brings registered models over with their versions, parameters, metrics, tags, aliases, code and data, under the
    times at which they came to be. What is here already is left as it is: run it again for what is new.

    A name and password, or a token, come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or
    MLFLOW_TRACKING_TOKEN. It takes the role importer. Exit status 1 when something was skipped.
    """
    from modelog.mlflow.bringing import Import, Options
    from modelog.mlflow.mapping import Rules
    from modelog.mlflow.server import MlflowError, Server
    from modelog.mlflow.settings import credentials, tracking_uri

    state = state_of(ctx)
    if state.at:
        raise click.UsageError("--at is for reads; this command does not take it")
    address = values["tracking_uri"] or tracking_uri()
    if not address:
        raise click.UsageError("say where the tracking server is: --tracking-uri or MLFLOW_TRACKING_URI")
    server = Server(address, credentials(), plain_text=values["plain_text"])
    rules = Rules(
        server=Server(values["known_as"]).uri if values["known_as"] else server.uri,
        parent=values["project"],
        reason=values["reason"],
        users=_users(values["users"]),
        higher=values["higher"],
        lower=values["lower"],
    )
    options = Options(values["patterns"], dict(values["renames"]), values["update"], values["dry_run"])
    with bar(shown=not state.as_json) as told:
        try:
            report = Import(state.client(), server, rules, options, told).run()
        except MlflowError as error:
            raise click.ClickException(str(error)) from error
    if state.as_json:
        render.print_json(report.plain())
    else:
        _told(report)
    return FAILED if any(report.skipped()) else 0


import_ = Noun("import", help="What was kept in another registry.", commands=[mlflow])
