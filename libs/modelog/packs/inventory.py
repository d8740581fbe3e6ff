"""The model inventory as of a moment: what there is, how far it came, who answers for it, and where it answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from modelog.packs.parts import Chapter, Content, Sheet
from modelog.packs.reading import Reading
from modelog.packs.saying import choice, time
from modelog.packs.scope import Selection
from modelog.pages.parts import Mark, Marks
from modelog.pages.words import count, tail

RISK_TAG = "risk_class"
# The facts that the tables of an inventory are folded from.
_KINDS = (
    "ModelCreated ModelDescribed TagSet TagRemoved ModelRetired VersionRegistered VersionDescribed ReviewSubmitted"
    " StageChanged VersionDeprecated VersionRetired VersionArchived VersionRestored FindingRaised FindingResolved"
    " FindingConfirmed FindingAccepted FindingReopened TrafficShifted EndpointRemoved AlertRaised AlertReopened"
    " AlertAcknowledged AlertResolved"
).split()
_OPEN = ("open", "answered", "accepted")
_VERSIONS = (
    *("version", "stage", "phase", "owners", "risk class", "author", "registered", "serving", "approved by"),
    *("open findings", "open alerts", "sha256"),
)
_DATA = ("version", "data", "sources", "digest", "personal data", "biases", "limitations")


def inventory(reading: Reading, projects: Sequence[str] = (), *, risk_tag: str = RISK_TAG) -> Content:
    """Every model of these projects, or of all that the caller may see. risk_tag: what holds the class of risk."""
    found = reading.projects(projects)
    names = [one.name for one in found]
    several = {"projects": found, "models": [], "versions": [], "serving": [], "alerts": [], "endpoints": []}
    for name in names:
        several["models"] += reading.models(name)
        several["versions"] += reading.versions(f"{name}/models/-")
        several["endpoints"] += reading.endpoints(name)
        several["serving"] += [one for one in reading.serving(name) if not one.HasField("to_time")]
        several["alerts"] += [one for one in reading.alerts(name) if choice(one, "state") in ("firing", "acknowledged")]
    return told(several, reading, names, asked=projects, risk_tag=risk_tag)


def told(
    states: Mapping[str, list[Any]], reading: Reading, names: Sequence[str], *, asked: Sequence[str], risk_tag: str
) -> Content:
    models = {one.name: one for one in states["models"]}
    classes = {one.name: risk_class(one, models.get(model_of(one.name)), risk_tag) for one in states["versions"]}
    findings = _findings(states["versions"])
    serving = _serving(states["serving"])
    alerts = _alerts(states["alerts"])
    selection = Selection(names, _KINDS)
    subject = asked[0] if len(asked) == 1 else "projects/-"
    return Content(
        kind="inventory",
        subject=subject,
        revision=reading.revision,
        title="Model inventory",
        subtitle=", ".join(asked) or "all projects",
        summary="Every model with its versions as they stood: how far each had come, who answered for it and approved"
        " it, where it was serving, and what was open about it.",
        facts=[
            ("Models", count(len(models))),
            ("Versions", count(len(states["versions"]))),
            ("Serving", count(len({one.version for one in states["serving"] if one.version}))),
            ("Open findings", count(len(findings.rows))),
            ("Open alerts", count(len(alerts.rows))),
        ],
        chapters=[
            Chapter("At a glance", charts=_charts(states, classes)),
            Chapter("Models", sheets=[_models(states["models"], states["versions"])]),
            Chapter("Versions", sheets=[_versions(states, models, classes)]),
            Chapter("Where they serve", sheets=[serving]),
            Chapter("What is open", sheets=[findings, alerts]),
            Chapter("Data and its limits", sheets=[_data(states["versions"])]),
        ],
        selection=selection,
        entries=selection.of(reading.facts(selection)),
        states=states,
        parameters={"risk tag": risk_tag, "projects": ", ".join(asked) or "all"},
    )


def model_of(version: str) -> str:
    return version.rpartition("/versions/")[0]


def risk_class(version: Any, model: Any, tag: str) -> str:
    """By the tag of the version, else of the model, else by the property of that name in the documentation."""
    properties = version.documentation.properties
    written = properties[tag].text if tag in properties else ""
    return version.tags.get(tag, "") or (model.tags.get(tag, "") if model is not None else "") or written


def _charts(states: Mapping[str, list[Any]], classes: Mapping[str, str]) -> list[Marks]:
    phases = Counter(choice(one, "phase") or "none" for one in states["versions"])
    risks = Counter(classes[one.name] or "not said" for one in states["versions"])
    made = []
    for title, counted in (("Versions by phase", phases), ("Versions by class of risk", risks)):
        marks = [Mark(label, float(number)) for label, number in sorted(counted.items())]
        made += [Marks(title, marks, "versions", from_zero=True)] if marks else []
    return made


def _models(models: Sequence[Any], versions: Sequence[Any]) -> Sheet:
    of = Counter(model_of(one.name) for one in versions)
    head = ("model", "title", "task", "owners", "created", "versions", "aliases", "retired", "tags")
    rows = [
        [
            one.name,
            one.details.title,
            one.details.task,
            ", ".join(one.details.owners),
            time(one.create_time),
            str(of[one.name]),
            ", ".join(f"{name} {tail(one.aliases[name].version)}" for name in sorted(one.aliases)),
            "yes" if one.retired else "",
            ", ".join(f"{name}={one.tags[name]}" for name in sorted(one.tags)),
        ]
        for one in models
    ]
    return Sheet("models", "", head, rows)


def _versions(states: Mapping[str, list[Any]], models: Mapping[str, Any], classes: Mapping[str, str]) -> Sheet:
    alerts = Counter(one.version for one in states["alerts"])
    rows = []
    for one in states["versions"]:
        model = models.get(model_of(one.name))
        serves = [
            f"{each.percent} % of {tail(each.endpoint)}" for each in states["serving"] if each.version == one.name
        ]
        approvers = one.verdicts[-1].approvers if one.verdicts else ()
        rows.append(
            [
                one.name,
                one.stage,
                choice(one, "phase"),
                ", ".join(model.details.owners) if model is not None else "",
                classes[one.name],
                one.author,
                time(one.create_time),
                ", ".join(serves),
                ", ".join(approvers),
                str(sum(choice(each, "state") in _OPEN for each in one.findings)),
                str(alerts[one.name]),
                one.artifact.sha256,
            ]
        )
    return Sheet("versions", "", _VERSIONS, rows)


def _serving(intervals: Sequence[Any]) -> Sheet:
    head = ("endpoint", "environment", "version", "percent", "since", "asked by", "approved by", "revision")
    rows = [
        [
            one.endpoint,
            one.environment,
            one.version,
            str(one.percent),
            time(one.from_time),
            one.requested_by,
            ", ".join(one.approved_by),
            str(one.from_revision),
        ]
        for one in intervals
        if one.version
    ]
    return Sheet("serving", "Versions that were answering", head, rows)


def _findings(versions: Sequence[Any]) -> Sheet:
    head = ("version", "number", "severity", "kind", "state", "title", "raised by", "raised")
    rows = [
        [
            version.name,
            str(one.number),
            choice(one, "severity"),
            choice(one, "kind"),
            choice(one, "state"),
            one.title,
            one.raised_by,
            time(one.raise_time),
        ]
        for version in versions
        for one in version.findings
        if choice(one, "state") in _OPEN
    ]
    return Sheet("open-findings", "Findings that were not settled, or only accepted for a time", head, rows)


def _alerts(alerts: Sequence[Any]) -> Sheet:
    head = ("alert", "version", "check", "severity", "state", "since", "acknowledged by")
    rows = [
        [
            one.name,
            one.version,
            one.check,
            choice(one, "severity"),
            choice(one, "state"),
            time(one.create_time),
            one.acknowledged_by,
        ]
        for one in alerts
    ]
    return Sheet("open-alerts", "Alerts that were open", head, rows)


def _data(versions: Sequence[Any]) -> Sheet:
    """What the cards say of training data; the same words where a version says them once for all its data."""
    rows = []
    for one in versions:
        written = one.documentation
        for data in one.training_data or [None]:
            if data is None and not (written.data_sources or written.data_biases or written.limitations):
                continue
            rows.append(
                [
                    one.name,
                    (data.name or data.uri) if data is not None else "",
                    (", ".join(data.sources) if data is not None else "") or written.data_sources,
                    data.sha256 if data is not None else "",
                    data.personal_data if data is not None else "",
                    (data.biases if data is not None else "") or written.data_biases,
                    written.limitations,
                ]
            )
    return Sheet("data", "", _DATA, rows)
