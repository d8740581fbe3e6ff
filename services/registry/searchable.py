"""What can be searched: the fields of projects, models and versions. A field more is a line more.

The list of a kind is the text of a function, so views that were made by another list are folded again. What a field
reads is one of text, number, flag, time, texts, or a map of these; `words` is long text, found by words only. `heads`
tells what something is about and ranks before `body`.
"""

import re
from collections.abc import Iterable
from typing import Any

from kernel.fields import Field, Searchable, Type, flag, map_of, number, text, texts, time, words
from modelog.registry.v1.artifacts_pb2 import PROVENANCE_OUTCOME_VERIFIED as VERIFIED
from modelog.registry.v1.types_pb2 import (
    FINDING_STATE_ANSWERED,
    FINDING_STATE_OPEN,
    Metric,
    Phase,
    Property,
    TransitionState,
)
from services.registry.domain import MODEL, PROJECT, VERSION

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,17})?([eE][+-]?\d{1,2})?")


def project_fields() -> tuple[Field, ...]:
    return (
        text("id", lambda project: _id(project.name), heads=True),
        text("title", lambda project: project.title, heads=True),
        words("description", lambda project: project.description),
    )


def model_fields() -> tuple[Field, ...]:
    return (
        text("id", lambda model: _id(model.name), heads=True),
        text("title", lambda model: model.details.title, heads=True),
        words("description", lambda model: model.details.description),
        text("task", lambda model: model.details.task, body=True),
        texts("owners", lambda model: model.details.owners, heads=True),
        words("links", lambda model: "\n".join(f"{one.title} {one.uri}" for one in model.details.links)),
        map_of(Type.TEXT, "tags", lambda model: model.tags, heads=True),
        map_of(Type.NUMBER, "aliases", _aliases, heads=True),
        flag("retired", lambda model: model.retired),
        text("license", lambda model: model.details.license, body=True),
        texts("languages", lambda model: model.details.languages),
        text("origin.system", lambda model: model.origin.system),
        text("origin.id", lambda model: model.origin.id, body=True),
    )


def version_fields() -> tuple[Field, ...]:
    return (
        text("model", lambda version: version.name.split("/")[3], heads=True),
        number("number", lambda version: int(_id(version.name))),
        text("stage", lambda version: version.stage, body=True),
        text("phase", lambda version: Phase.Name(version.phase).removeprefix("PHASE_")),
        text("author", lambda version: version.author, body=True),
        texts("makers", lambda version: version.makers),
        text("framework", lambda version: version.framework, body=True),
        map_of(Type.TEXT, "tags", lambda version: version.tags, heads=True),
        map_of(Type.ANY, "hyperparameters", _hyperparameters, body=True),
        map_of(Type.ANY, "properties", _properties, body=True),
        map_of(Type.NUMBER, "metrics", lambda version: _best(_evaluated(version)), body=True),
        map_of(Type.NUMBER, "evaluations", _evaluations, depth=3),
        text("artifact.uri", lambda version: version.artifact.uri),
        text("artifact.sha256", lambda version: version.artifact.sha256),
        text("artifact.format", lambda version: version.artifact.format, body=True),
        number("artifact.size_bytes", lambda version: version.artifact.size_bytes),
        text("source.repository", lambda version: version.source.repository, body=True),
        text("source.commit", lambda version: version.source.commit),
        text("source.path", lambda version: version.source.path),
        text("source.branch", lambda version: version.source.branch),
        flag("source.dirty", lambda version: version.source.dirty),
        texts("training_data", lambda version: [one.name or one.uri for one in version.training_data]),
        texts("training_data.sha256", lambda version: [one.sha256 for one in version.training_data]),
        words("data", lambda version: "\n".join(_data(version))),
        words("documentation", lambda version: "\n".join(_documentation(version))),
        text("parent_version", lambda version: version.parent_version),
        text("answers", lambda version: version.answers),
        text("record", lambda version: version.record),
        text("transition.state", _state),
        text("transition.to_stage", lambda version: version.transition.to_stage),
        flag("deprecated", lambda version: version.HasField("deprecation")),
        text("deprecation.successor", lambda version: version.deprecation.successor),
        time("deprecation.sunset_time", _sunset),
        number("open_findings", _open_findings),
        texts("marks", lambda version: version.marks),
        flag("signed", lambda version: any(one.outcome == VERIFIED for one in version.provenance)),
        text("copied_from", lambda version: version.copied_from.version),
        text("origin.system", lambda version: version.origin.system),
        text("origin.id", lambda version: version.origin.id, body=True),
    )


SEARCHABLES = (
    Searchable(PROJECT, project_fields),
    Searchable(MODEL, model_fields),
    Searchable(VERSION, version_fields),
)


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _aliases(model: Any) -> dict[str, int]:
    """The number of the version each points to."""
    return {name: int(_id(alias.version)) for name, alias in model.aliases.items() if _id(alias.version).isdecimal()}


def _hyperparameters(version: Any) -> dict[str, Any]:
    """They are recorded as text; what is written like a number is one, so that it can be compared."""
    return {
        name: float(value) if _NUMBER.fullmatch(value) else value for name, value in version.hyperparameters.items()
    }


def _properties(version: Any) -> dict[str, Any]:
    return {name: _value(one) for name, one in version.documentation.properties.items()}


def _value(one: Property) -> Any:
    which = one.WhichOneof("value")
    return getattr(one, which) if which else None


def _best(evaluations: Iterable[Any]) -> dict[str, float]:
    """Of each metric the best over all evaluations."""
    found: dict[str, Metric] = {}
    for evaluation in evaluations:
        for name, metric in evaluation.metrics.items():
            known = found.setdefault(name, metric)
            better = max if known.higher_is_better else min
            found[name] = better(known, metric, key=lambda one: one.value)
    return {name: metric.value for name, metric in found.items()}


def _evaluations(version: Any) -> dict[str, Any]:
    """`holdout.metrics.auc`; of each fairness metric the worst: `holdout.fairness.demographic_parity_difference`."""
    return {
        name: {"metrics": _best([one]), "fairness": _worst(one.fairness)} for name, one in version.evaluations.items()
    }


def _worst(fairness: Iterable[Any]) -> dict[str, float]:
    found: dict[str, Metric] = {}
    for one in fairness:
        for name, metric in one.metrics.items():
            known = found.setdefault(name, metric)
            worse = min if known.higher_is_better else max
            found[name] = worse(known, metric, key=lambda other: other.value)
    return {name: metric.value for name, metric in found.items()}


def _data(version: Any) -> list[str]:
    used = [*version.training_data, *(one.data_set for one in _evaluated(version))]
    return [f"{one.name} {one.description}" for one in used]


def _documentation(version: Any) -> list[str]:
    """Every text that people wrote about it, whatever fields there are for that."""
    texts_ = [
        getattr(version.documentation, field.name)
        for field in version.documentation.DESCRIPTOR.fields
        if field.type == field.TYPE_STRING and not field.is_repeated
    ]
    return [one for one in [*texts_, *(one.method for one in _evaluated(version))] if one]


def _evaluated(version: Any) -> list[Any]:
    """The evaluations by their ids: the order of a message's map depends on how it came to be."""
    return [one for _, one in sorted(version.evaluations.items())]


def _state(version: Any) -> str:
    return (
        TransitionState.Name(version.transition.state).removeprefix("TRANSITION_STATE_")
        if version.transition.number
        else ""
    )


def _open_findings(version: Any) -> int:
    """How many wait for an answer, or for somebody to confirm it."""
    return sum(one.state in (FINDING_STATE_OPEN, FINDING_STATE_ANSWERED) for one in version.findings)


def _sunset(version: Any) -> Any:
    return version.deprecation.sunset_time if version.deprecation.HasField("sunset_time") else None
