"""Tables that several packs have."""

from collections.abc import Sequence
from typing import Any

from modelog.packs.parts import Sheet
from modelog.packs.saying import choice, time
from modelog.pages.words import tail


def serving_sheet(intervals: Sequence[Any]) -> Sheet:
    head = ("version", "endpoint", "percent", "from", "to", "asked by", "approved by", "cause", "revisions")
    rows = [
        [
            tail(one.version) or "nobody",
            tail(one.endpoint),
            str(one.percent),
            time(one.from_time),
            time(one.to_time) if one.HasField("to_time") else "",
            one.requested_by,
            ", ".join(one.approved_by),
            one.cause,
            f"{one.from_revision} to {one.to_revision}" if one.to_revision else str(one.from_revision),
        ]
        for one in intervals
    ]
    return Sheet("serving", "Who answered when", head, rows)


def alert_sheet(alerts: Sequence[Any]) -> Sheet:
    head = ("alert", "version", "check", "severity", "state", "from", "to", "statistic", "threshold", "ended by")
    rows = [
        [
            tail(one.name),
            tail(one.version),
            one.check or one.rule,
            choice(one, "severity"),
            choice(one, "state"),
            time(one.create_time),
            time(one.resolve_time) if one.HasField("resolve_time") else "",
            f"{one.statistic:.6g}",
            f"{one.threshold:.6g}",
            one.resolved_by or choice(one, "resolution"),
        ]
        for one in alerts
    ]
    return Sheet("alerts", "Alerts", head, rows)
