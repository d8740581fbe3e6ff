"""What the gate expressions of a policy see of a version: plain values, metrics as numbers."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelog.registry.v1.artifacts_pb2 import TrustedKey
from modelog.registry.v1.types_pb2 import DataSet, Evaluation, Metric, Phase, Policy, Property, Version
from services.registry.domain.card import version_share
from services.registry.domain.provenance import seen_of

_NONE: Mapping[str, TrustedKey] = {}
NAMES = frozenset(
    {
        "evaluations",
        "fairness",
        "documentation",
        "artifact",
        "source",
        "training_data",
        "hyperparameters",
        "tags",
        "framework",
        "stage",
        "phase",
        "author",
        "marks",
        "provenance",
        "completeness",
    }
)
_NO_POLICY = Policy()


def values_of(
    version: Version, trusted_keys: Mapping[str, TrustedKey] = _NONE, policy: Policy = _NO_POLICY
) -> dict[str, Any]:
    """The values by name, as described at Gate.expression.

    trusted_keys: those of the project, as they are now. policy: says what a model card has to have.
    """
    return {
        "evaluations": {id_: _evaluation(one) for id_, one in version.evaluations.items()},
        "fairness": worst_fairness(version),
        "documentation": _documentation(version),
        "artifact": {
            "uri": version.artifact.uri,
            "sha256": version.artifact.sha256,
            "size_bytes": version.artifact.size_bytes,
            "format": version.artifact.format,
        },
        "source": {
            "repository": version.source.repository,
            "commit": version.source.commit,
            "path": version.source.path,
            "branch": version.source.branch,
            "dirty": version.source.dirty,
        },
        "training_data": [_data_set(one) for one in version.training_data],
        "hyperparameters": dict(version.hyperparameters),
        "tags": dict(version.tags),
        "framework": version.framework,
        "stage": version.stage,
        "phase": Phase.Name(version.phase).removeprefix("PHASE_"),
        "author": version.author,
        "marks": list(version.marks),
        "provenance": seen_of(version, trusted_keys),
        "completeness": version_share(version, policy),
    }


def worst_fairness(version: Version) -> dict[str, float]:
    """The worst value of each fairness metric over all evaluations and attributes: none can hide behind another."""
    worst: dict[str, float] = {}
    for _, evaluation in sorted(version.evaluations.items()):
        for fairness in evaluation.fairness:
            for name, metric in fairness.metrics.items():
                known = worst.get(name, metric.value)
                worst[name] = min(known, metric.value) if metric.higher_is_better else max(known, metric.value)
    return worst


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "metrics": _numbers(evaluation.metrics),
        "intervals": _intervals(evaluation.metrics),
        "rows": evaluation.rows,
        "data_set": _data_set(evaluation.data_set),
        "slices": [
            {"column": one.column, "value": one.value, "rows": one.rows, "metrics": _numbers(one.metrics)}
            for one in evaluation.slices
        ],
        "fairness": {one.attribute: _numbers(one.metrics) for one in evaluation.fairness},
        "method": evaluation.method,
    }


def _numbers(metrics: Mapping[str, Metric]) -> dict[str, float]:
    return {name: metric.value for name, metric in metrics.items()}


def _intervals(metrics: Mapping[str, Metric]) -> dict[str, dict[str, float]]:
    return {
        name: {"low": one.interval.low, "high": one.interval.high, "level": one.interval.level}
        for name, one in metrics.items()
        if one.HasField("interval")
    }


def _data_set(data: DataSet) -> dict[str, str]:
    return {"name": data.name, "uri": data.uri, "sha256": data.sha256, "description": data.description}


def _documentation(version: Version) -> dict[str, Any]:
    said = version.documentation
    texts = {one.name: getattr(said, one.name) for one in said.DESCRIPTOR.fields if one.type == one.TYPE_STRING}
    return {**texts, "properties": {name: _property(value) for name, value in said.properties.items()}}


def _property(value: Property) -> Any:
    kind = value.WhichOneof("value")
    plain = getattr(value, kind) if kind else None
    return plain.ToJsonString() if isinstance(plain, Timestamp) else plain
