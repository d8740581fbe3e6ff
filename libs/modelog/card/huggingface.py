"""A card as model hubs read it: YAML front matter with a model index, then the same text as Markdown."""

import re
from typing import Any

from modelog.card.markdown import document
from modelog.card.quoting import dumped
from modelog.pages.words import seen
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import Evaluation

# Their names of tasks, for ours that mean the same.
_TASKS = {
    "binary-classification": "tabular-classification",
    "multiclass-classification": "tabular-classification",
    "classification": "tabular-classification",
    "regression": "tabular-regression",
}
_SLUG = re.compile(r"[^a-z0-9.]+")


def hub_card(card: ModelCard) -> str:
    return f"---\n{dumped(front_matter(card))}---\n\n{document(card)}"


def front_matter(card: ModelCard) -> dict[str, Any]:
    """language, license, library_name, pipeline_tag, tags, datasets, metrics, co2_eq_emissions, model-index."""
    model, version = card.model.details, card.version
    found: dict[str, Any] = {
        "language": list(model.languages),
        "license": _slug(model.license),
        "library_name": _slug(version.framework.partition(" ")[0]),
        "pipeline_tag": _task(model.task),
        "tags": [_text(f"{name}:{value}" if value else name) for name, value in sorted(version.tags.items())],
        "datasets": [_text(one.name) for one in version.training_data if one.name],
        "metrics": sorted({name for one in version.evaluations.values() for name in one.metrics}),
    }
    if version.documentation.resources.emissions_kg:
        found["co2_eq_emissions"] = _emissions(card)
    found = {name: value for name, value in found.items() if value}
    if any(one.metrics for one in version.evaluations.values()):
        found["model-index"] = [{"name": _text(model.title or card.name), "results": _results(card)}]
    return found


def _emissions(card: ModelCard) -> dict[str, Any]:
    """In grams, as they want it."""
    one = card.version.documentation.resources
    known = {
        "emissions": one.emissions_kg * 1000,
        "source": _text(one.method),
        "training_type": "",
        "geographical_location": _text(one.location),
        "hardware_used": _text(one.hardware),
    }
    return {name: value for name, value in known.items() if value}


def _results(card: ModelCard) -> list[dict[str, Any]]:
    """An entry for each evaluation; each metric says by its name how it was measured."""
    task = _task(card.model.details.task) or "other"
    known = card.version.evaluations
    return [_result(name, known[name], task) for name in sorted(known) if known[name].metrics]


def _result(name: str, one: Evaluation, task: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": _text(one.data_set.name or name),
        "type": _slug(one.data_set.name) or name,
    }
    if one.data_set.sha256:
        data["revision"] = one.data_set.sha256
    return {"task": {"type": task}, "dataset": data, "metrics": [_metric(key, one) for key in sorted(one.metrics)]}


def _metric(key: str, one: Evaluation) -> dict[str, Any]:
    told: dict[str, Any] = {"type": key, "value": one.metrics[key].value, "name": key.replace("_", " ")}
    if one.metrics[key].HasField("interval"):
        held = one.metrics[key].interval
        told["args"] = {"low": held.low, "high": held.high, "level": held.level}
    return told


def _task(task: str) -> str:
    plain = _slug(task)
    return _TASKS.get(plain, plain)


def _slug(text: str) -> str:
    return _SLUG.sub("-", text.lower()).strip("-")


def _text(text: str) -> str:
    return seen(text)
