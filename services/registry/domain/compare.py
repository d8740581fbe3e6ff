"""Versions side by side: what differs, and which is better in each metric."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.registry.v1.artifacts_pb2 import ArtifactFile, ScannedGlobal
from modelog.registry.v1.registry_service_pb2 import (
    CompareVersionsResponse,
    FieldComparison,
    MetricComparison,
    MetricValue,
)
from modelog.registry.v1.types_pb2 import Column, DataSet, Fairness, Metric, Slice, Verdict, Version
from services.registry.domain.contrast import columns, difference, sources

_COMPARED = (
    "artifact",
    "signature",
    "source",
    "training_data",
    "hyperparameters",
    "framework",
    "parent_version",
    "documentation",
    "evaluations",
    "tags",
    "stage",
    "phase",
    "verdicts",
    "deprecation",
    "answers",
    "author",
    "record",
    "copied_from",
    "origin",
    "marks",
)
# Of an approval only who gave it is a difference between models; the rest is a history of its own.
_LEFT_OUT = {
    "gates",
    "decide_time",
    "policy_revision",
    "content_revision",
    "transition",
    "record_time",
    "artifact_sha256",
    "scanners",
    "curves",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
}

Leaves = dict[str, Any]


def compare(versions: Sequence[Version], *, include_equal: bool = False) -> CompareVersionsResponse:
    """The versions' fields and metrics by path; what is equal in all of them only when asked for."""
    sides = [dict(leaves(version)) for version in versions]
    names = [version.name for version in versions]
    reply = CompareVersionsResponse(names=names)
    for path in sorted(set().union(*sides)):
        found = [side.get(path) for side in sides]
        if any(isinstance(one, Metric) for one in found):
            if include_equal or any(one != found[0] for one in found):
                reply.metrics.append(_metric(path, names, found))
            continue
        values = ["" if one is None else one for one in found]
        if include_equal or any(value != values[0] for value in values):
            reply.fields.append(FieldComparison(path=path, values=values))
    reply.columns.extend(columns(versions, include_equal=include_equal))
    reply.sources.extend(sources(versions, include_equal=include_equal))
    return reply


def leaves(version: Version) -> Iterator[tuple[str, Any]]:
    """Every compared value of a version with its path: JSON text, or the Metric itself."""
    for field, value in version.ListFields():
        if field.name in _COMPARED:
            yield from _below(field.name, field, value)


def _below(path: str, field: Any, value: Any) -> Iterator[tuple[str, Any]]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        for key in value:
            yield from _one(f"{path}.{key}", inner, value[key])
    elif field.is_repeated and field.message_type is not None:
        for index, one in enumerate(value):
            yield from _one(f"{path}.{_key(one, index)}", field, one)
    elif field.is_repeated:
        yield path, json.dumps(list(value), ensure_ascii=False)
    else:
        yield from _one(path, field, value)


def _one(path: str, field: Any, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Metric):
        yield path, value
    elif isinstance(value, Timestamp):
        yield path, json.dumps(value.ToJsonString())
    elif isinstance(value, Message):
        for inner, below in value.ListFields():
            if inner.name not in _LEFT_OUT:
                yield from _below(f"{path}.{inner.name}", inner, below)
    elif field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        yield path, json.dumps(known.name if known else value)
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _key(one: Any, index: int) -> str:
    """What a member of a list is called in a path: by its own name, so that an inserted one moves no other."""
    match one:
        case Column() | DataSet() if one.name:
            return str(one.name)
        case Slice():
            return f"{one.column}={one.value}"
        case Fairness():
            return str(one.attribute)
        case Verdict():
            return str(one.to_stage)
        case ArtifactFile():
            return str(one.path)
        case ScannedGlobal():
            return f"{one.module}.{one.name}"
        case _:
            return str(index)


def _metric(path: str, names: Sequence[str], found: Sequence[Metric | None]) -> MetricComparison:
    present = [one for one in found if one is not None]
    agreed = all(one.higher_is_better == present[0].higher_is_better for one in present)
    comparison = MetricComparison(
        path=path,
        values=[MetricValue() if one is None else MetricValue(value=one.value) for one in found],
        higher_is_better=agreed and present[0].higher_is_better,
        direction_agreed=agreed,
        differences=[difference(found[0], one) for one in found],
    )
    if agreed and len(present) > 1:
        best = (max if comparison.higher_is_better else min)(one.value for one in present)
        comparison.best.extend(
            name for name, one in zip(names, found, strict=True) if one is not None and one.value == best
        )
    return comparison
