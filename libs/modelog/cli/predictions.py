"""Files of predictions, logged for monitoring; and what of them could not be counted."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.names import Name
from modelog.cli.progress import Told, bar
from modelog.cli.state import Command, State, state_of, time_of
from modelog.cli.verbs import arg, opt, verb

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "log",
    cls=Command,
    short_help="Log a file of predictions (.parquet or .csv), as batch scoring writes it.",
    params=[
        click.Argument(["file"], type=_FILE),
        click.Option(["--version"], type=Name("version"), required=True, help="The version that answered."),
        click.Option(["--endpoint"], type=Name("endpoint"), help="On this endpoint."),
        click.Option(["--monitor"], type=Name("monitor"), help="Or on what this monitor looks at."),
        click.Option(["--output", "outputs"], multiple=True, help="This column is an output of the model. Repeat it."),
        click.Option(["--id-column"], default="", help="Ids of predictions, by which labels join later."),
        click.Option(["--label"], default="", help="This column is what turned out to be true; needs --id-column."),
        click.Option(["--time-column"], default="", help="When each row was answered, in ascending order."),
        click.Option(["--answered-at"], help="When all of it was answered; now, when not given."),
    ],
)
@click.pass_context
def log(ctx: click.Context, /, **given: Any) -> int:
    """Logs every row of a file as one prediction. Without --endpoint and --monitor they are predictions of the model
    that no endpoint answered, which monitors look at that were created for the model.

    Run it again when it was interrupted: rows that are counted already are not counted again, for as long as monitoring
    remembers batches (8 days unless set otherwise). What does not fit the version's signature is put aside: see
    `modelog monitors rejected`.
    """
    from modelog.sdk.chunks import chunks

    state = state_of(ctx)
    if given["endpoint"] and given["monitor"]:
        raise click.UsageError("give --endpoint or --monitor, not both")
    if given["label"] and not given["id_column"]:
        raise click.UsageError("--label needs --id-column: labels join by the ids of predictions")
    endpoint = _endpoint(state, given)
    at = time_of(given["answered_at"], "--answered-at") if given["answered_at"] is not None else None
    named = _batch_id(given, endpoint)
    counts = {"rows": 0, "batches": 0, "repeated": 0}
    telemetry = state.client().telemetry
    with bar(shown=not state.as_json) as told:
        try:
            for number, chunk in enumerate(chunks(given["file"])):
                labels = chunk.columns.pop(given["label"]) if given["label"] else None
                before = counts["rows"]
                done = telemetry.log(
                    chunk.columns,
                    version=given["version"],
                    endpoint=endpoint,
                    outputs=given["outputs"],
                    ids=given["id_column"],
                    at=at,
                    times=given["time_column"],
                    batch_id=f"{named}-{number}",
                    progress=partial(_tell, told, before, chunk.total),
                )
                for what in counts:
                    counts[what] += getattr(done, what)
                if labels is not None:
                    ids = chunk.columns[given["id_column"]]
                    telemetry.record(ids, labels, endpoint=endpoint, batch_id=f"{named}-{number}-labels")
        except KeyError as error:
            raise click.UsageError(f"{given['file']} has no column {error.args[0]}") from error
        except ValueError as error:
            raise click.UsageError(f"{given['file']}: {error}") from error
    _show(state, endpoint, given["version"], counts)
    return 0


def _show(state: State, endpoint: str, version: str, counts: dict[str, int]) -> None:
    if state.as_json:
        render.print_json({"endpoint": endpoint, "version": version, **counts})
        return
    again = f", {counts['repeated']:,} of them there already" if counts["repeated"] else ""
    click.echo(f"{counts['rows']:,} rows of {version} in {counts['batches']:,} batches{again}")


def _tell(told: Told, before: int, total: int, rows: int) -> None:
    told("logging", before + rows, total)


def _endpoint(state: Any, given: dict[str, Any]) -> str:
    if given["monitor"]:
        from modelog.monitoring.v1.monitoring_service_pb2 import GetMonitorRequest

        return str(state.call("monitoring.GetMonitor", GetMonitorRequest(name=given["monitor"])).endpoint)
    return str(given["endpoint"] or given["version"].rpartition("/versions/")[0])


def _batch_id(given: dict[str, Any], endpoint: str) -> str:
    """The same file, taken in the same way, is the same batches."""
    with given["file"].open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    parts = [digest, endpoint, *(str(given[name]) for name in ("version", "outputs", "id_column", "time_column"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def rejected_rows(batches: Sequence[Any]) -> None:
    """For people: each batch with its reason, and below it each column with what was expected and what came."""
    rows: list[list[Any]] = []
    for one in batches:
        when = one.reject_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
        kept = "retry" if one.kept else ""
        rows.append([str(one.position), when, f"{one.rows:,}", Cell(one.reason, "yellow"), kept])
        for column in one.columns:
            where = f"row {column.first_row}, {column.wrong_rows:,} rows" if column.first_row >= 0 else ""
            example = f": {column.example!r}" if column.example else ""
            said = f"  {column.name}: {column.expected} expected, {column.found} came {where}{example}".rstrip()
            rows.append(["", "", "", said, ""])
    render.table(["position", "put aside", "rows", "why", ""], rows)


commands = [
    log,
    verb(
        "rejected",
        "monitoring.ListRejectedBatches",
        "Telemetry of an endpoint that could not be counted, and why, column by column.",
        arg("parent", "endpoint"),
        tabulate=rejected_rows,
    ),
    verb(
        "retry",
        "monitoring.RetryRejectedBatch",
        "Send a batch that was put aside again, with columns left out or converted.",
        arg("parent", "endpoint"),
        arg("position"),
        opt("drop_columns", "Leave this column out. Repeat it.", flag="--drop"),
        opt("convert_columns", "Turn it into what the signature says. Repeat it.", flag="--convert"),
    ),
]
