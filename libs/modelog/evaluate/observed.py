"""What is measured: columns of equal length, and how they are to be understood."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]
Column = npt.ArrayLike

BINARY, MULTICLASS, REGRESSION = "binary-classification", "multiclass-classification", "regression"
TASKS = (BINARY, MULTICLASS, REGRESSION)
MISSING = "(missing)"
# Labels that are understood as yes, in this order, when nobody says which is the positive one.
_YES = ("1", "true", "True", "yes", "Yes", "Y", "positive", "pos")
_MOST_CLASSES = 64


@dataclass(frozen=True)
class Observations:
    """Columns of n rows. labels: what is true. predictions: what was said, of the same kind; for two labels they may be
    left out when there are scores. scores: the higher, the more positive; as probabilities, 0..1; for more labels a
    column for each of them. slices, sensitive: columns by name; nothing of single rows of them leaves this machine."""

    labels: Column
    predictions: Column | None = None
    scores: Column | Mapping[str, Column] | None = None
    slices: Mapping[str, Column] = field(default_factory=dict)
    sensitive: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """How to measure.

    task: found out when empty. positive: the label that is looked for. threshold: the score from which on a row counts
    as positive, where there are no predictions. level: the confidence of intervals. minimum_rows: groups and slices of
    fewer rows are not told apart. reference: the group that others are compared with, by attribute. unit: of labels, in
    a regression. progress: hears what is done, how far it is and how far it goes."""

    task: str = ""
    positive: str = ""
    threshold: float = 0.5
    level: float = 0.95
    minimum_rows: int = 0
    reference: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None

    def __post_init__(self) -> None:
        if self.task and self.task not in TASKS:
            raise ValueError(f"{self.task!r} is none of {', '.join(TASKS)}")
        if not 0 < self.level < 1:
            raise ValueError(f"{self.level:g} is no confidence; say a number between 0 and 1, for example 0.95")


def texts(column: Column) -> Texts:
    """Labels and groups as text: 1, 1.0 and "1" are the same; what is empty or no number is (missing)."""
    array = np.asarray(column)
    # Of many equal values each is written once: a column of labels has few.
    if array.dtype.kind in "fiub":
        known, place = np.unique(array, return_inverse=True)
        return np.array([_plain(one) for one in known.tolist()], dtype=str)[place]
    if array.dtype.kind == "O":
        array = np.array([MISSING if one is None or one != one else str(one) for one in array.ravel()], dtype=str)
    known, place = np.unique(array.astype(str), return_inverse=True)
    return np.array([_stripped(one) for one in known.tolist()], dtype=str)[place]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return MISSING if math.isnan(value) else f"{value:.15g}"
    return str(value)


def _stripped(text: str) -> str:
    """From a file everything is text, and a column of whole numbers may have been written with a point."""
    text = text.strip()
    whole = text[:-2].lstrip("-").isdecimal() and text.endswith(".0")
    return (text[:-2] if whole else text) or MISSING


def numbers(column: Column, what: str) -> Floats:
    """Finite numbers; ValueError naming the first row, from 1, that is none."""
    array = np.asarray(column)
    if array.dtype.kind in "fiub":
        found = array.astype(np.float64)
    else:
        found = np.array([_number(one) for one in array.ravel()], dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        raise ValueError(f"{what}: row {wrong[0] + 1} is no finite number")
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def is_numeric(column: Column) -> bool:
    array = np.asarray(column)
    if array.dtype.kind in "fiu":
        return True
    return bool(array.size) and bool(np.isfinite([_number(one) for one in array.ravel()]).all())


def check_lengths(observed: Observations) -> int:
    """The number of rows; ValueError when columns differ in length or there are none."""
    rows = len(np.asarray(observed.labels))
    scores = observed.scores
    by_label = scores if isinstance(scores, Mapping) else {"": scores}
    named: Sequence[tuple[str, Column | None]] = [
        ("predictions", observed.predictions),
        *((f"scores {name}".rstrip(), one) for name, one in by_label.items()),
        *((f"column {name}", one) for name, one in [*observed.slices.items(), *observed.sensitive.items()]),
    ]
    for name, column in named:
        if column is not None and len(np.asarray(column)) != rows:
            raise ValueError(f"{name}: {len(np.asarray(column))} rows, and there are {rows} labels")
    if not rows:
        raise ValueError("there are no rows to measure")
    return rows


def task_of(observed: Observations, choices: Choices) -> str:
    """The task as chosen, else as the columns look: scores or two labels, numbers with fractions, or classes."""
    if choices.task:
        return choices.task
    if isinstance(observed.scores, Mapping):
        return MULTICLASS
    labels = texts(observed.labels)
    known = len(np.unique(labels))
    if observed.scores is not None or known <= 2:
        return BINARY
    if is_numeric(observed.labels) and (known > 20 or bool((np.mod(numbers(observed.labels, "labels"), 1) != 0).any())):
        return REGRESSION
    return MULTICLASS


def classes_of(labels: Texts, predictions: Texts | None) -> list[str]:
    """All labels, numbers in their order; ValueError when a label is missing or there are too many."""
    together = labels if predictions is None else np.concatenate([labels, predictions])
    known = [str(one) for one in np.unique(together)]
    if MISSING in known:
        row = int(np.flatnonzero(together == MISSING)[0]) % len(labels) + 1
        raise ValueError(f"row {row} has no label or no prediction; leave such rows out")
    if len(known) > _MOST_CLASSES:
        raise ValueError(f"{len(known)} labels; at most {_MOST_CLASSES} are told apart. Is it a regression?")
    return sorted(known, key=float) if is_numeric(np.array(known)) else known


def positive_of(classes: Sequence[str], chosen: str) -> str:
    """The label that is looked for; ValueError when it has to be said."""
    if chosen:
        if chosen not in classes:
            raise ValueError(f"no row has the positive label {chosen!r}; there are {', '.join(classes)}")
        return chosen
    likely = [one for one in _YES if one in classes]
    if not likely:
        raise ValueError(f"say which label is the positive one: {', '.join(classes)}")
    return likely[0]
