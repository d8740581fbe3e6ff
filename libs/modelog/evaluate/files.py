"""Measures a file of predictions: names of columns in, an evaluation with its data set and method out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from modelog.evaluate.columns import Columns, read_columns
from modelog.evaluate.measure import measure
from modelog.evaluate.observed import Choices, Column, Observations, texts
from modelog.registry.v1.types_pb2 import DataSet, Evaluation

_AND = "+"


@dataclass(frozen=True)
class Roles:
    """Which column is what. scores: by label, where there are more than two.

    slices, sensitive: `sex`, or `sex+age` for every combination of their values."""

    label: str
    prediction: str = ""
    score: str = ""
    scores: Mapping[str, str] = field(default_factory=dict)
    slices: Sequence[str] = ()
    sensitive: Sequence[str] = ()


def measure_file(path: str | Path, roles: Roles, choices: Choices | None = None) -> Evaluation:
    """As `measure`, with the file's name, digest and rows as data set. Only the columns that have a role are read."""
    file, chosen = Path(path), choices or Choices()
    combined = [*roles.slices, *roles.sensitive]
    single = [part for name in combined for part in name.split(_AND)]
    wanted = [one for one in (roles.label, roles.prediction, roles.score, *roles.scores.values(), *single) if one]
    columns = read_columns(file, wanted)
    told = measure(
        Observations(
            labels=columns[roles.label],
            predictions=columns[roles.prediction] if roles.prediction else None,
            scores=_scores(columns, roles),
            slices={name: _combined(columns, name) for name in roles.slices},
            sensitive={name: _combined(columns, name) for name in roles.sensitive},
        ),
        chosen,
    )
    told.data_set.CopyFrom(data_set_of(file))
    told.data_set.rows = told.rows
    told.method = _method(roles, told, chosen)
    return told


def _scores(columns: Columns, roles: Roles) -> Column | Mapping[str, Column] | None:
    if roles.scores:
        return {label: columns[name] for label, name in roles.scores.items()}
    return columns[roles.score] if roles.score else None


def data_set_of(file: Path) -> DataSet:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return DataSet(name=file.name[:256], sha256=digest)


def _combined(columns: Columns, name: str) -> Column:
    """The column, or the values of several side by side."""
    first, *others = name.split(_AND)
    if not others:
        return columns[first]
    joined = texts(columns[first])
    for one in others:
        joined = np.char.add(np.char.add(joined, ", "), texts(columns[one]))
    return joined


def _method(roles: Roles, told: Evaluation, chosen: Choices) -> str:
    named: Mapping[str, str] = {"label": roles.label, "prediction": roles.prediction, "score": roles.score}
    parts = [f"{role} {column}" for role, column in named.items() if column]
    parts += [f"score of {label} {column}" for label, column in roles.scores.items()]
    if told.HasField("threshold"):
        parts.append(f"positive from {told.threshold:g}")
    return f"modelog evaluate: {', '.join(parts)}; intervals at {chosen.level:g}"[:1024]
