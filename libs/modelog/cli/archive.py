"""Sealed records and legal holds."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from modelog.cli import render
from modelog.cli.failures import UNVERIFIED
from modelog.cli.state import Noun, State
from modelog.cli.verbs import arg, opt, verb


def _verified(state: State, reply: Any) -> int:
    render.reply(reply, as_json=state.as_json)
    return 0 if reply.intact else UNVERIFIED


def _fetched(state: State, replies: Any) -> None:
    out: Path | None = click.get_current_context().params["out"]
    with out.open("xb") if out else nullcontext(sys.stdout.buffer) as file:
        for reply in replies:
            file.write(reply.chunk)
    if out:
        click.echo(f"wrote {out}", err=True)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _costs(state: State, reply: Any) -> None:
    if state.as_json:
        return render.print_json(render.plain(reply))
    rows = [
        [
            one.project,
            str(one.record_count),
            _mebibytes(one.size_bytes),
            _mebibytes(one.erased_bytes),
            f"{one.month_price:.4f}",
        ]
        for one in reply.costs
    ]
    render.table(["project", "records", "size", "erased", "a month"], rows)
    click.echo(f"at {reply.gibibyte_month_price:g} for a GiB and month")
    return None


records = Noun(
    "records",
    help="Sealed records of retired versions.",
    commands=[
        verb("list", "archive.ListRecords", "The records of a project.", arg("parent", "project")),
        verb("get", "archive.GetRecord", "One record.", arg("name", "record")),
        verb(
            "verify",
            "archive.VerifyRecord",
            "Read every byte of a record again and check its proofs; exit status 7 when something is wrong.",
            arg("name", "record"),
            show=_verified,
        ),
        verb(
            "files",
            "archive.GetRecordContents",
            "What is in a record, and where it lies as an OCI image layout.",
            arg("name", "record"),
        ),
        verb(
            "fetch",
            "archive.GetRecordFile",
            "One file of a record, to standard output or --out.",
            arg("name", "record"),
            arg("path"),
            extra=(click.Option(["--out"], type=click.Path(dir_okay=False, path_type=Path), help="Where it goes."),),
            show=_fetched,
        ),
        verb(
            "request-restore",
            "archive.RequestRecordRestore",
            "Ask for the artifact to be put back where artifacts lie; somebody else has to agree.",
            arg("name", "record"),
        ),
        verb(
            "approve-restore",
            "archive.ApproveRecordRestore",
            "Agree that the artifact is put back, which happens at once.",
            arg("name", "record"),
        ),
        verb(
            "cost",
            "archive.GetRecordCosts",
            "What the records of a project take and cost; of every project with the project `all`.",
            arg("parent", "project"),
            show=_costs,
        ),
        verb("retry", "archive.RetryArchiving", "Try again to make a record that failed.", arg("name", "record")),
    ],
)

holds = Noun(
    "holds",
    help="Legal holds: nothing they cover expires or is erased.",
    commands=[
        verb("list", "archive.ListHolds", "The holds of a project.", arg("parent", "project")),
        verb("get", "archive.GetHold", "One hold.", arg("name", "hold")),
        verb(
            "place",
            "archive.PlaceHold",
            "Put resources, by their full names, or whatever meets a query, under a hold.",
            arg("parent", "project"),
            arg("hold_id"),
            arg("resources", required=False),
            opt("query", "Also versions that meet this filter, now or later: tags.use = credit AND phases:PRODUCTION."),
            opt("title", "What it is for."),
            opt("authority", "Whose order it is."),
        ),
        verb("release", "archive.ReleaseHold", "Lift a hold.", arg("name", "hold")),
        verb("covers", "retentions.ListHeld", "The versions that a hold covers now.", arg("name", "hold")),
    ],
)
