"""The model card of a version, rendered from its facts as Markdown. Pure; the same facts give the same bytes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as types
from modelog.texts import MARKER
from services.archive.sealing.story import Told

_DOCUMENTS = (
    ("summary", "Summary"),
    ("intended_use", "Intended use"),
    ("intended_users", "Intended users"),
    ("out_of_scope", "Out of scope"),
    ("factors", "Factors"),
    ("measures", "Measures"),
    ("data_sources", "Data sources"),
    ("data_collection", "Data collection"),
    ("data_preprocessing", "Data preprocessing"),
    ("data_biases", "Known biases of the data"),
    ("evaluation_data", "Evaluation data"),
    ("quantitative_analyses", "Quantitative analyses"),
    ("architecture", "Architecture"),
    ("assumptions", "Assumptions"),
    ("limitations", "Limitations"),
    ("ethical_considerations", "Ethical considerations"),
    ("caveats", "Caveats"),
    ("recommendations", "Recommendations"),
)


class _Life:
    """What the card speaks of, folded from the facts of the model and of the version."""

    def __init__(self, facts: Sequence[Told], model: str, version: str) -> None:
        self.details = types.ModelDetails()
        self.documentation = types.Documentation()
        self.registered: Told | None = None
        self.evaluations: dict[str, tuple[Told, types.Evaluation]] = {}
        self.reviews: list[Told] = []
        self.moves: list[Told] = []
        for one in facts:
            if one.fact.resource == model:
                self._model(one.event)
            elif one.fact.resource == version:
                self._version(one)

    def _model(self, event: Any) -> None:
        if isinstance(event, registry.ModelCreated):
            self.details.CopyFrom(event.details)
        elif isinstance(event, registry.ModelDescribed):
            event.update_mask.MergeMessage(event.details, self.details, True, True)

    def _version(self, one: Told) -> None:
        event = one.event
        if isinstance(event, registry.VersionRegistered):
            self.registered = one
            self.documentation.CopyFrom(event.documentation)
        elif isinstance(event, registry.VersionDescribed):
            event.update_mask.MergeMessage(event.documentation, self.documentation, True, True)
        elif isinstance(event, registry.EvaluationRecorded):
            self.evaluations[event.evaluation_id] = (one, event.evaluation)
        elif isinstance(event, registry.ReviewSubmitted):
            self.reviews.append(one)
        elif isinstance(event, registry.StageChanged | registry.VersionDeprecated | registry.VersionRetired):
            self.moves.append(one)


def model_card(facts: Sequence[Told], model: str, version: str, serving: Sequence[Mapping[str, Any]]) -> str:
    """facts: in order of the log. serving: from `serving_intervals`."""
    life = _Life(facts, model, version)
    lines = [f"# {life.details.title or model}, version {version.rpartition('/')[2]}", "", f"`{version}`", ""]
    lines += _about(life)
    for field, title in _DOCUMENTS:
        if text := getattr(life.documentation, field):
            lines += [f"## {title}", "", text, ""]
    lines += _evaluations(life)
    lines += _reviews(life)
    lines += _moves(life)
    rows = [
        (one["endpoint"], f"{one['percent']} %", one["from_time"], one.get("to_time", "still"), one["requested_by"])
        for one in serving
    ]
    lines += _section("Served", ("endpoint", "share", "from", "to", "asked for by"), rows)
    return "\n".join(lines).rstrip("\n") + "\n"


def _about(life: _Life) -> list[str]:
    rows = [("task", life.details.task), ("owners", ", ".join(life.details.owners))]
    if life.registered:
        event = life.registered.event
        rows += [
            ("registered", f"{life.registered.time} by {life.registered.fact.actor.id}"),
            ("author", event.author),
            ("framework", event.framework),
            ("artifact", f"{event.artifact.format}, {event.artifact.size_bytes} bytes, sha256 {event.artifact.sha256}"),
            ("source", f"{event.source.repository} {event.source.commit} {event.source.path}".strip()),
            ("source differed from the commit", "yes" if event.source.dirty else ""),
            ("derived from", event.parent_version),
            ("answers", event.answers),
        ]
        rows += [("training data", f"{one.name} sha256 {one.sha256}") for one in event.training_data]
        rows += [(f"parameter {key}", event.hyperparameters[key]) for key in sorted(event.hyperparameters)]
    lines = [life.details.description, ""] if life.details.description else []
    return lines + _table(("", ""), [row for row in rows if row[1]])


def _evaluations(life: _Life) -> list[str]:
    rows = []
    for name in sorted(life.evaluations):
        one, evaluation = life.evaluations[name]
        rows += _metrics(name, "all", evaluation.metrics, one)
        for part in evaluation.slices:
            rows += _metrics(name, f"{part.column} = {part.value} ({part.rows} rows)", part.metrics, one)
        for group in evaluation.fairness:
            rows += _metrics(name, f"fairness over {group.attribute}", group.metrics, one)
    return _section("Evaluations", ("evaluation", "on", "metric", "value", "recorded by"), rows)


def _metrics(name: str, part: str, metrics: Mapping[str, types.Metric], one: Told) -> list[tuple[str, ...]]:
    return [(name, part, key, f"{metrics[key].value:.6g}", one.fact.actor.id) for key in sorted(metrics)]


def _reviews(life: _Life) -> list[str]:
    rows = [
        (
            one.time,
            one.fact.actor.id,
            types.ReviewKind.Name(one.event.kind).removeprefix("REVIEW_KIND_").lower(),
            types.ReviewDecision.Name(one.event.decision).removeprefix("REVIEW_DECISION_").lower(),
            one.event.comment,
        )
        for one in life.reviews
    ]
    return _section("Reviews", ("when", "who", "of", "decision", "comment"), rows)


def _moves(life: _Life) -> list[str]:
    rows = []
    for one in life.moves:
        if isinstance(one.event, registry.StageChanged):
            what, by = f"{one.event.from_stage} to {one.event.to_stage}", ", ".join(one.event.approvers)
        elif isinstance(one.event, registry.VersionDeprecated):
            what, by = f"deprecated {one.event.successor}".strip(), ""
        else:
            what, by = "retired", ""
        rows.append((one.time, one.fact.actor.id, what, by, one.fact.reason))
    return _section("Life", ("when", "who", "what", "approved by", "why"), rows)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"## {title}", "", *_table(head, rows)] if rows else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [_row(head), _row("---" for _ in head)]
    return [*lines, *(_row(map(_cell, row)) for row in rows), ""]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    text = MARKER.sub("(kept beside the log)", text)
    return " ".join(text.split()).replace("|", "\\|")
