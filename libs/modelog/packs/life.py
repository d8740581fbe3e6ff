"""One model's whole life: every fact about it in order, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelog.card import render as card
from modelog.packs.charting import measured, shares
from modelog.packs.listing import listed
from modelog.packs.parts import Chapter, Content, Sheet
from modelog.packs.reading import Reading
from modelog.packs.saying import choice, kind_of, second_of, time
from modelog.packs.scope import RULES, Selection, notable
from modelog.packs.sheets import alert_sheet, serving_sheet
from modelog.packs.watching import Watched, watched
from modelog.pages.words import count, tail
from modelog.sdk.facts import Entry

_REVIEWS = (
    "TransitionRequested ReviewSubmitted TransitionDecided StageChanged ChecklistAnswered ReviewDelegated".split()
)
_FINDINGS = "FindingRaised FindingResolved FindingConfirmed FindingAccepted FindingReopened".split()
_ENDS = (
    "ModelRetired VersionDeprecated VersionRetired VersionArchived VersionRestored RetirementProposed"
    " RetirementAccepted RetirementDeclined ArchivingStarted RecordSealed ArchivingFailed RecordRestored RecordExpired"
    " HoldPlaced HoldReleased"
).split()


@dataclass(frozen=True)
class _Found:
    """What belongs to a model: its versions, and what is about one of them."""

    model: Any
    versions: Sequence[Any]
    watched: Watched
    serving: Sequence[Any]
    rollouts: Sequence[Any]
    alerts: Sequence[Any]
    retrainings: Sequence[Any]


def life(reading: Reading, model: str) -> Content:
    """Of a model from its first fact to the revision."""
    project = model.partition("/models/")[0]
    found = _found(reading, project, model)
    selection = Selection([project], names=[model], rules=RULES)
    every = selection.whole(reading.facts(selection))
    entries = notable(every)
    windows = sum(kind_of(entry) == "WindowEvaluated" for entry in every)
    return Content(
        kind="model",
        subject=model,
        revision=reading.revision,
        title=f"The life of {tail(model)}",
        subtitle=model,
        summary=f"Everything that was recorded about this model and its versions, and of rollouts, traffic, alerts and"
        f" retrainings that speak of them. {count(windows)} windows of monitoring were evaluated; those in which every"
        f" check held and nothing began or ended are counted here and not listed.",
        facts=[
            ("Versions", count(len(found.versions))),
            ("Facts", count(len(entries))),
            ("Serving", ", ".join(_answering(found.serving)) or "no"),
            ("Alerts", count(len(found.alerts))),
            ("Retrainings", count(len(found.retrainings))),
        ],
        chapters=_chapters(found, entries, second_of(every[-1]) if every else 0.0),
        selection=selection,
        entries=entries,
        states={
            "models": [found.model],
            "versions": found.versions,
            "serving": found.serving,
            "rollouts": found.rollouts,
            "alerts": found.alerts,
            "retrainings": found.retrainings,
        },
        documents={_card_of(one): card(reading.card(one.name), "html") for one in found.versions},
    )


def _found(reading: Reading, project: str, model: str) -> _Found:
    versions = reading.versions(model)
    names = {one.name for one in versions}
    serving = reading.serving(project, model=model)
    return _Found(
        model=reading.model(model),
        versions=versions,
        watched=watched(reading, project, {model} | {one.endpoint for one in serving}),
        serving=serving,
        rollouts=[one for one in reading.rollouts(project) if one.version in names],
        alerts=[one for one in reading.alerts(project) if one.version in names],
        retrainings=[one for one in reading.retrainings(project) if {one.version, one.answered_by} & names],
    )


def _chapters(found: _Found, entries: Sequence[Entry], end: float) -> list[Chapter]:
    """end: of the charts over time, in seconds since 1970."""
    reviews = listed("reviews", "Requests, reviews and evidence", entries, _REVIEWS)
    drawn, answered = shares(found.serving, end, found.alerts), serving_sheet(found.serving)
    versions = [_versions(found.versions), _evaluations(found.versions)]
    rules = listed("rules", "Rules of the project: policies, lifecycles, retention", entries, RULES)
    return [
        Chapter("Versions", charts=measured(found.versions), sheets=versions),
        Chapter("Reviews and moves", sheets=[_moves(found.versions), reviews, rules]),
        Chapter("Findings", sheets=[listed("findings", "", entries, _FINDINGS)]),
        Chapter("Serving", charts=drawn, sheets=[answered, _rollouts(found.rollouts)]),
        Chapter("What monitoring saw", charts=found.watched.charts, sheets=[found.watched.values]),
        Chapter("Alerts and retraining", sheets=[alert_sheet(found.alerts), _retrainings(found.retrainings)]),
        Chapter("Ends", sheets=[listed("ends", "Deprecated, retired, sealed, held, restored", entries, _ENDS)]),
        Chapter("Timeline", sheets=[listed("timeline", "Every fact, oldest first", entries)]),
    ]


def _card_of(version: Any) -> str:
    """Where the card of a version stands in the pack."""
    return f"cards/{version.name.rpartition('/')[2]}.html"


def _answering(serving: Sequence[Any]) -> list[str]:
    return sorted({tail(one.version) for one in serving if one.version and not one.HasField("to_time")})


def _versions(versions: Sequence[Any]) -> Sheet:
    head = (
        "version",
        "stage",
        "phase",
        "author",
        "registered",
        "parent",
        "answers",
        "framework",
        "commit",
        "sha256",
        "card",
    )
    rows = [
        [
            one.name.rpartition("/")[2],
            one.stage,
            choice(one, "phase"),
            one.author,
            time(one.create_time),
            tail(one.parent_version),
            tail(one.answers),
            one.framework,
            one.source.commit,
            one.artifact.sha256,
            _card_of(one),
        ]
        for one in versions
    ]
    return Sheet("versions", "", head, rows)


def _evaluations(versions: Sequence[Any]) -> Sheet:
    head = ("version", "evaluation", "metric", "value", "low", "high", "data", "recorded", "recorded by")
    rows = []
    for version in versions:
        for name in sorted(version.evaluations):
            one = version.evaluations[name]
            for metric in sorted(one.metrics):
                found = one.metrics[metric]
                held = (
                    [f"{found.interval.low:.6g}", f"{found.interval.high:.6g}"]
                    if found.HasField("interval")
                    else ["", ""]
                )
                where = one.data_set.name or one.data_set.uri
                told = [where, time(one.record_time), one.recorded_by]
                rows.append([version.name.rpartition("/")[2], name, metric, f"{found.value:.6g}", *held, *told])
    return Sheet("evaluations", "What was measured", head, rows)


def _moves(versions: Sequence[Any]) -> Sheet:
    head = ("version", "from", "to", "decided", "decided by", "approved by", "gates", "policy of revision", "digest")
    rows = [
        [
            version.name.rpartition("/")[2],
            one.from_stage,
            one.to_stage,
            time(one.decide_time),
            one.decided_by,
            ", ".join(one.approvers),
            ", ".join(f"{gate.name} {choice(gate, 'result')}" for gate in one.gates),
            str(one.policy_revision or ""),
            one.artifact_sha256,
        ]
        for version in versions
        for one in version.verdicts
    ]
    return Sheet("moves", "Moves from stage to stage", head, rows)


def _rollouts(rollouts: Sequence[Any]) -> Sheet:
    head = ("rollout", "version", "previous", "state", "asked by", "approved by", "begun", "cause")
    rows = [
        [
            tail(one.name),
            tail(one.version),
            tail(one.previous_version),
            choice(one, "state"),
            one.requested_by,
            ", ".join(one.approved_by),
            time(one.create_time),
            one.cause,
        ]
        for one in rollouts
    ]
    return Sheet("rollouts", "Rollouts", head, rows)


def _retrainings(retrainings: Sequence[Any]) -> Sheet:
    head = ("retraining", "version", "alert", "state", "asked by", "asked", "run", "answered by", "reason")
    rows = [
        [
            tail(one.name),
            tail(one.version),
            tail(one.alert),
            choice(one, "state"),
            one.requested_by,
            time(one.create_time),
            one.run,
            tail(one.answered_by),
            one.reason or one.abandon_reason,
        ]
        for one in retrainings
    ]
    return Sheet("retrainings", "Retrainings", head, rows)
