"""Alerts and silences."""

from typing import Any

from modelog.cli import render
from modelog.cli.cells import Cell
from modelog.cli.failures import FAILED
from modelog.cli.state import Noun, State
from modelog.cli.verbs import arg, opt, verb


def _compared(state: State, reply: Any) -> int:
    """Each number beside the one of that time; status 1 when one differs."""
    if state.as_json:
        render.print_json(render.plain(reply))
    else:
        titles = ("check", "column", "recorded", "again", "same")
        again = {one.check.id: one for one in reply.recomputed}
        lines = [
            (one.check.id, one.column, repr(one.statistic), repr(again[one.check.id].statistic), same)
            for one in reply.recorded
            for same in ("yes" if one == again[one.check.id] else "no",)
        ]
        render.table(titles, [[Cell(text) for text in line] for line in lines])
    return 0 if reply.same else FAILED


alerts = Noun(
    "alerts",
    help="Episodes in which a check fails or a rule holds.",
    commands=[
        verb(
            "list",
            "monitoring.ListAlerts",
            "The alerts of a monitor; risk/- for all of a project.",
            arg("parent", "monitor"),
        ),
        verb("get", "monitoring.GetAlert", "One alert, with what raised it.", arg("name", "alert")),
        verb(
            "acknowledge",
            "monitoring.AcknowledgeAlert",
            "Take an alert.",
            arg("name", "alert"),
            opt("note", "What you found."),
        ),
        verb(
            "silence",
            "monitoring.SilenceAlert",
            "Hold its notifications back until a moment.",
            arg("name", "alert"),
            arg("until"),
        ),
        verb(
            "escalate",
            "monitoring.EscalateAlert",
            "Raise its severity, name who is to look at it, or both.",
            arg("name", "alert"),
            opt("severity", "How bad it is from now on."),
            opt("to", "Who is to look at it: users/ada, groups/ml-platform."),
        ),
        verb("resolve", "monitoring.ResolveAlert", "End an alert by hand.", arg("name", "alert")),
        verb(
            "rerun",
            "monitoring.RerunAlert",
            "Compute what raised it again from stored profiles, and compare to the digit.",
            arg("name", "alert"),
            show=_compared,
        ),
    ],
)

silences = Noun(
    "silences",
    help="While one holds, nobody is notified of a project's alerts, or of those that match.",
    commands=[
        verb("list", "monitoring.ListSilences", "The silences of a project.", arg("parent", "project")),
        verb("get", "monitoring.GetSilence", "One silence.", arg("name", "silence")),
        verb(
            "create",
            "monitoring.CreateSilence",
            "Notify nobody until a moment; --reason is required.",
            arg("parent", "project"),
            arg("end_time"),
            opt("start_time", "From when on; now otherwise.", flag="--from"),
            opt("monitor", "Only alerts of this monitor.", kind="monitor"),
            opt("version", "Only of this version.", kind="version"),
            opt("rule", "Only of the rule with this id."),
            opt("check", "Only when nothing but this check fails."),
            opt("most_severity", "Only alerts that are no more severe."),
            opt("hold_actions", "Nothing is to follow either: no retraining, no rollback."),
        ),
        verb("end", "monitoring.EndSilence", "End a silence before its time.", arg("name", "silence")),
    ],
)
