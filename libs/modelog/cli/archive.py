"""Sealed records and legal holds."""

from typing import Any

from modelog.cli import render
from modelog.cli.failures import UNVERIFIED
from modelog.cli.state import Noun, State
from modelog.cli.verbs import arg, opt, verb


def _verified(state: State, reply: Any) -> int:
    render.reply(reply, as_json=state.as_json)
    return 0 if reply.intact else UNVERIFIED


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
