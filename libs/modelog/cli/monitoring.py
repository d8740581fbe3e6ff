"""Alerts and retrainings."""

from modelog.cli.state import Noun
from modelog.cli.verbs import arg, opt, verb

alerts = Noun(
    "alerts",
    help="Episodes in which a check fails.",
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
        verb("resolve", "monitoring.ResolveAlert", "End an alert by hand.", arg("name", "alert")),
    ],
)

retrainings = Noun(
    "retrainings",
    help="Requests to train a version anew. `versions register --answers` answers one.",
    commands=[
        verb(
            "list",
            "monitoring.ListRetrainings",
            "Those of a monitor; risk/- for all of a project.",
            arg("parent", "monitor"),
        ),
        verb("get", "monitoring.GetRetraining", "One retraining, with what it rests on.", arg("name", "retraining")),
        verb(
            "request",
            "monitoring.RequestRetraining",
            "Ask for a version to be trained anew.",
            arg("parent", "monitor"),
            arg("version", "version"),
        ),
        verb(
            "start",
            "monitoring.StartRetraining",
            "Take a retraining.",
            arg("name", "retraining"),
            opt("run", "Where the training can be watched."),
        ),
        verb(
            "abandon",
            "monitoring.AbandonRetraining",
            "Give a retraining up; --reason is required.",
            arg("name", "retraining"),
        ),
    ],
)
