"""The log of a system over a period, by the points of Article 12(2) of the EU AI Act: a reading aid."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.packs.charting import happened, shares
from modelog.packs.keeping import keeping
from modelog.packs.listing import listed
from modelog.packs.paragraphs import BESIDE, MARKET, OPERATION, POINTS, RISK, Point, sorted_out
from modelog.packs.parts import Chapter, Content, Sheet
from modelog.packs.reading import NothingThere, Reading
from modelog.packs.saying import choice, kind_of, span, time
from modelog.packs.scope import RULES, Selection, notable, within
from modelog.packs.sheets import alert_sheet, serving_sheet
from modelog.packs.watching import Watched, watched
from modelog.pages.words import count, tail
from modelog.sdk.facts import Entry

_LIMITS = (
    "- This says which recorded facts bear on which point. Whether the system is of high risk, what the law asks of it,"
    " and whether this is enough, is for its provider and its deployer to judge.\n"
    "- Single inputs and outputs are not here: telemetry is kept beside the log and judged by windows, which are.\n"
    "- What Article 12(3) asks of remote biometric identification (each use, the reference database, matches, who"
    " verified a result) is not recorded by modelog and has to come from the system itself.\n"
    "- What the system itself writes about its operation, outside of modelog, is not here either."
)
_BODIES: Mapping[Point, str] = {
    RISK: "Findings, alerts, failed rollouts and rollbacks tell of situations in which the system may have presented a"
    " risk; new versions, moves between stages, shifts of traffic and changed policies tell what was modified. Whether"
    " a modification is a substantial one (Article 3(23)) is not for a log to say.",
    MARKET: "What was monitored and how, which windows failed, which alerts followed, and what was done about them:"
    " evaluations and retrainings. They are data on performance over the life of the system (Article 72(2)).",
    OPERATION: "What answered, who rolled it out and who approved that, what was repaired, paused or silenced, and who"
    " took an alert: what a deployer has at hand to monitor the operation (Article 26(5)).",
    BESIDE: "Reviews, evidence, access, discussion and keeping. They show who oversaw what (Article 14 asks for the"
    " oversight itself).",
}


def system_log(reading: Reading, subject: str, start: datetime, end: datetime) -> Content:
    """Of an endpoint or a model from `start` up to and not including `end`."""
    project = "/".join(subject.split("/")[:2])
    began, ended = start.timestamp(), end.timestamp()
    times = {"from_time": _stamp(start), "to_time": _stamp(end), "clip": True, "include_gaps": True}
    of = {"model": subject} if "/models/" in subject else {"endpoint": subject}
    serving = reading.serving(project, **of, **times)
    names = {subject} | ({one.version for one in serving if one.version} if "endpoint" in of else set())
    selection = Selection([project], (), sorted(names), RULES, time(_stamp(start)), time(_stamp(end)))
    whole = selection.whole(reading.facts(selection))
    own = [entry for entry in whole if kind_of(entry) not in RULES]
    if not own:
        raise NothingThere(f"nothing was recorded of {subject} by then; `endpoints list` and `models list` name others")
    seen = watched(reading, project, {subject} | {one.endpoint for one in serving}, **_windows(start, end))
    during = selection.during(whole)
    entries = notable(during)
    by_point = sorted_out(entries)
    alerts = [one for one in reading.alerts(project) if _overlaps(one, names, began, ended)]
    return Content(
        kind="ai-act",
        subject=subject,
        revision=reading.revision,
        title=f"Log of {tail(subject)}",
        subtitle=f"{span(start, end)}, by the points of Article 12 of Regulation (EU) 2024/1689",
        summary=_summary(subject, names, during, entries),
        facts=[(point.cited, count(len(by_point[point]))) for point in POINTS] + [("Alerts", count(len(alerts)))],
        chapters=[
            Chapter("What this is, and what it is not", _LIMITS, sheets=[_answers(by_point)]),
            Chapter("Over the period", charts=[_chart(by_point, began, ended), *shares(serving, ended, alerts)]),
            *(_chapter(point, by_point[point], seen if point is MARKET else None) for point in POINTS),
            Chapter("Who answered when", sheets=[serving_sheet(serving)]),
            Chapter("Alerts of the period", sheets=[alert_sheet(alerts)]),
            keeping(reading, project, names, own),
        ],
        selection=selection,
        entries=entries,
        states={"serving": serving, "alerts": alerts},
        parameters={"from": selection.start, "to": selection.end},
    )


def _summary(subject: str, names: Collection[str], during: Sequence[Entry], entries: Sequence[Entry]) -> str:
    others = sorted(tail(one) for one in names if one != subject)
    served = f" and of the versions that answered on it ({', '.join(others)})" if others else ""
    windows = sum(kind_of(entry) == "WindowEvaluated" for entry in during)
    quiet = len(during) - len(entries)
    return (
        f"The facts of {subject}{served}, whatever else names them, and the project's rules, recorded"
        f" in this period. {count(windows)} windows of monitoring were evaluated; {count(quiet)} of them, in which"
        " every check held, are only counted."
    )


def _answers(by_point: Mapping[Point, Sequence[Entry]]) -> Sheet:
    head = ("point", "about", "facts", "kinds of facts", "file")
    rows = []
    for point in POINTS:
        kinds = Counter(kind_of(entry) or "unreadable" for entry in by_point[point])
        told = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
        rows.append([point.cited, point.about, str(len(by_point[point])), told, f"data/{point.name}.csv"])
    rows.append(["Article 19, 26(6)", "keeping of the logs", "", "", "data/kept.csv"])
    return Sheet("points", "Which data bear on which point", head, rows)


def _chapter(point: Point, entries: Sequence[Entry], seen: Watched | None) -> Chapter:
    sheets = [listed(point.name, "", entries), *([seen.values] if seen else [])]
    return Chapter(f"{point.cited}: {point.about}", _BODIES[point], seen.charts if seen else (), sheets)


def _windows(start: datetime, end: datetime) -> dict[str, Timestamp]:
    """Windows that lie in the period; from the first where it begins with time itself."""
    times = {"end_time": _stamp(end)}
    return times | {"start_time": _stamp(start)} if start.timestamp() > 0 else times


def _chart(by_point: Mapping[Point, Sequence[Entry]], start: float, end: float) -> Any:
    several = {point.cited.replace("Article ", ""): by_point[point] for point in (RISK, MARKET, OPERATION)}
    return happened("Facts by point", several, start, end)


def _overlaps(alert: Any, names: Collection[str], start: float, end: float) -> bool:
    if not (within(alert.endpoint, names) or within(alert.version, names)):
        return False
    over = choice(alert, "state") == "resolved"
    until = alert.resolve_time.ToNanoseconds() / 1e9 if over else end
    return bool(alert.create_time.ToNanoseconds() / 1e9 < end and until >= start)


def _stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made
