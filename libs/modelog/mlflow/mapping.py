"""From what a tracking server says to the requests that bring it here. Pure: no clock, no network.

What has no counterpart is left out and told in a note; nothing is made up in its place.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from modelog.mlflow.artifacts import Fetched
from modelog.mlflow.records import Input, ModelVersion, RegisteredModel, Run
from modelog.mlflow.signatures import signature_of
from modelog.mlflow.words import clean, direction_of, principal_of, request_id
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.imports_pb2 import Origin
from modelog.registry.v1.types_pb2 import DataSet, GitSource, ModelDetails

SYSTEM = "mlflow"
EVALUATION = "mlflow"
_MOST_TEXT, _MOST_KEY, _MOST_VALUE, _MOST_URI = 4096, 128, 1024, 2048
_MOST_TAGS = _MOST_PROPERTIES = 64
_MOST_PARAMS, _MOST_METRICS, _MOST_DATA = 256, 128, 32
_TRAINING = frozenset(["", "train", "training"])
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Rules:
    """What whoever imports says of names: users by MLflow's name for them; patterns of metrics by direction."""

    server: str
    parent: str
    reason: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()


def origin_of(rules: Rules, id_: str, happened: datetime | None) -> Origin:
    origin = Origin(system=SYSTEM, uri=rules.server, id=clean(id_, 1024))
    if happened is not None:
        origin.happen_time.FromDatetime(happened)
    return origin


def model_request(rules: Rules, model: RegisteredModel, model_id: str) -> rpc.CreateModelRequest:
    """Its title is the name that MLflow has for it."""
    details = ModelDetails(title=clean(model.name, 256), description=clean(model.description, _MOST_TEXT))
    return rpc.CreateModelRequest(
        parent=rules.parent,
        request_id=request_id(rules.server, "model", model.name, rules.parent, model_id),
        reason=rules.reason,
        model_id=model_id,
        details=details,
        origin=origin_of(rules, model.name, model.created),
        tags=tags_of(model.tags, {}, []),
    )


def version_request(
    rules: Rules, model: str, version: ModelVersion, run: Run, fetched: Fetched, notes: list[str]
) -> rpc.RegisterVersionRequest:
    """The registration of one version of `model`, by its name here."""
    request = rpc.RegisterVersionRequest(
        parent=model,
        request_id=request_id(rules.server, "version", version.model, str(version.number), model),
        reason=rules.reason,
        artifact=fetched.artifact,
        source=_source(run.tags),
        training_data=_training_data(run.inputs, notes),
        hyperparameters=_texts(run.params, _MOST_PARAMS, "hyperparameters", notes),
        framework=_framework(fetched.description),
        author=principal_of(version.user or run.user, rules.users),
        origin=origin_of(rules, version.id, version.created),
        tags=version_tags(version, notes),
    )
    signature, why = signature_of(fetched.description)
    if signature is not None:
        request.signature.CopyFrom(signature)
    elif why:
        notes.append(why)
    request.documentation.summary = clean(version.description, _MOST_TEXT)
    _properties(request, run, fetched, rules, notes)
    return request


def version_tags(version: ModelVersion, notes: list[str]) -> dict[str, str]:
    """Its own, and what MLflow knows it by. A stage there was set without a review, so here it is a label."""
    ours = {"mlflow.version": str(version.number)}
    if version.stage:
        ours["mlflow.stage"] = version.stage
    if version.run_id:
        ours["mlflow.run_id"] = version.run_id
    return tags_of(version.tags, ours, notes)


def tags_of(theirs: Mapping[str, str], ours: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    return _texts({**theirs, **ours}, _MOST_TAGS, "tags", notes, first=ours)


def evaluation_request(rules: Rules, name: str, run: Run, notes: list[str]) -> rpc.RecordEvaluationRequest | None:
    """The last values of the run's metrics whose direction is known; None when there are none.

    A direction that nobody stated would be believed by gates and comparisons, so the others become properties.
    """
    request = rpc.RecordEvaluationRequest(name=name, reason=rules.reason, evaluation_id=EVALUATION)
    known = [
        (one, direction_of(one.name, rules.higher, rules.lower)) for one in run.metrics if math.isfinite(one.value)
    ]
    known = [(one, higher) for one, higher in known if higher is not None]
    if len(known) > _MOST_METRICS:
        notes.append(f"{len(known) - _MOST_METRICS} metrics beyond {_MOST_METRICS} are left out")
    for metric, higher in sorted(known, key=lambda pair: pair[0].name)[:_MOST_METRICS]:
        entry = request.evaluation.metrics[clean(metric.name, _MOST_KEY)]
        entry.value, entry.higher_is_better = metric.value, bool(higher)
    if not known:
        return None
    others = [one for one in run.inputs if one.context.lower() not in _TRAINING]
    if others:
        request.evaluation.data_set.CopyFrom(_data_set(others[0]))
    request.evaluation.method = f"MLflow run {clean(run.id, 64)}, last values"
    times = [metric.time for metric, _ in known if metric.time is not None]
    if times:
        request.happen_time.FromDatetime(max(times))
    encoded = request.SerializeToString(deterministic=True).hex()
    request.request_id = request_id(rules.server, "evaluation", name, encoded)
    return request


def _properties(
    request: rpc.RegisterVersionRequest, run: Run, fetched: Fetched, rules: Rules, notes: list[str]
) -> None:
    """What has a value and no place of its own: the flavors, and metrics of which nobody knows what is better."""
    properties = request.documentation.properties
    flavors = fetched.description.get("flavors")
    if isinstance(flavors, Mapping) and flavors:
        properties["mlflow.flavors"].text = clean(", ".join(sorted(map(str, flavors))), _MOST_VALUE)
    unknown = []
    for metric in sorted(run.metrics, key=lambda one: one.name):
        if not math.isfinite(metric.value):
            notes.append(f"metric {metric.name} is {metric.value} and left out")
        elif direction_of(metric.name, rules.higher, rules.lower) is None:
            unknown.append(metric)
    room = _MOST_PROPERTIES - len(properties)
    for metric in unknown[:room]:
        properties[clean(f"mlflow.metrics.{metric.name}", _MOST_KEY)].number = metric.value
    if unknown:
        names = ", ".join(one.name for one in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        notes.append(f"{len(unknown)} metrics without a known direction are properties: {names}")
    if len(unknown) > room:
        notes.append(f"{len(unknown) - room} of them are left out")


def _source(tags: Mapping[str, str]) -> GitSource | None:
    said = {key: tags.get(f"mlflow.source.git.{key}") or tags.get(f"mlflow.git.{key}", "") for key in _GIT}
    commit = said["commit"].lower()
    if not _COMMIT.fullmatch(commit):
        return None
    path = tags.get("mlflow.source.name", "")
    return GitSource(
        repository=clean(_without_credentials(said["repoURL"]), _MOST_URI),
        commit=commit,
        branch=clean(said["branch"], 256),
        # An address on somebody's disk is no path inside the repository.
        path="" if path.startswith(("/", "\\")) or ":" in path else clean(path, 1024),
        dirty=said["dirty"].lower() == "true",
    )


_GIT = ("commit", "repoURL", "branch", "dirty")


def _training_data(inputs: Sequence[Input], notes: list[str]) -> Iterable[DataSet]:
    found = [_data_set(one) for one in inputs if one.context.lower() in _TRAINING]
    if len(found) > _MOST_DATA:
        notes.append(f"{len(found) - _MOST_DATA} data sets beyond {_MOST_DATA} are left out")
    return found[:_MOST_DATA]


def _data_set(one: Input) -> DataSet:
    """MLflow's digest is short and of its own making, so it is told and not taken for a SHA-256."""
    told = f"MLflow digest {one.digest}, source type {one.source_type or 'unknown'}"
    return DataSet(name=clean(one.name, 256), uri=clean(_address(one.source), _MOST_URI), description=clean(told, 4096))


def _address(source: str) -> str:
    try:
        said = json.loads(source)
    except (ValueError, RecursionError):
        return source if "://" in source else ""
    found = [str(said[key]) for key in ("uri", "url", "path") if said.get(key)] if isinstance(said, dict) else []
    return _without_credentials(found[0]) if found else ""


def _framework(description: Mapping[str, Any]) -> str:
    """The flavor that is not the general one, with its version, for example `sklearn 1.9.1`."""
    flavors = description.get("flavors")
    for name, flavor in flavors.items() if isinstance(flavors, Mapping) else ():
        if name == "python_function" or not isinstance(flavor, Mapping):
            continue
        versions = [str(value) for key, value in flavor.items() if str(key).endswith("_version") and value]
        return clean(" ".join([str(name), *versions[:1]]), 128)
    return ""


def _texts(
    given: Mapping[str, str], most: int, what: str, notes: list[str], first: Iterable[str] = ()
) -> dict[str, str]:
    """As the door takes them: so many, so long; `first` before all others."""
    begun = set(first)
    order = sorted(given, key=lambda key: (key not in begun, key))
    if len(order) > most:
        notes.append(f"{len(order) - most} {what} beyond {most} are left out")
    cut = [key for key in order[:most] if len(key) > _MOST_KEY or len(given[key]) > _MOST_VALUE]
    if cut:
        notes.append(f"{len(cut)} {what} are cut to {_MOST_VALUE} characters")
    return {clean(key, _MOST_KEY): clean(given[key], _MOST_VALUE) for key in order[:most]}


def _without_credentials(address: str) -> str:
    try:
        parts = urlsplit(address)
        inside = "@" in parts.netloc and bool(parts.scheme)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if inside else address
    except ValueError:
        return ""
