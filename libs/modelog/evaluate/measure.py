"""From rows to an Evaluation: overall, by slice, and how groups are treated."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

import numpy as np

from modelog.evaluate import classes, fairness
from modelog.evaluate.curves import curves
from modelog.evaluate.observed import (
    BINARY,
    MULTICLASS,
    REGRESSION,
    Bools,
    Choices,
    Column,
    Observations,
    check_lengths,
    classes_of,
    numbers,
    positive_of,
    task_of,
    texts,
)
from modelog.evaluate.regression import regression
from modelog.evaluate.scores import are_probabilities, of_many_scores, of_scores
from modelog.evaluate.slices import parts
from modelog.registry.v1.types_pb2 import Evaluation, Fairness, Metric

MOST_SLICES = 128


@dataclass(frozen=True)
class _Task:
    """What differs between tasks: the metrics of some rows, and the fairness over a column."""

    metrics: Callable[[Bools], Mapping[str, Metric]]
    fairness: Callable[[str, Column], Fairness]


def measure(observed: Observations, choices: Choices | None = None) -> Evaluation:
    """The evaluation of these rows, without data set and method, which the caller knows.

    ValueError says which column or row is wrong. A metric that is undefined for some rows is left out there."""
    chosen = choices or Choices()
    rows = check_lengths(observed)
    told = Evaluation(rows=rows)
    prepare = {BINARY: _binary, MULTICLASS: _multiclass, REGRESSION: _regression}
    task = prepare[task_of(observed, chosen)](observed, chosen, told)
    total = 1 + len(observed.slices) + len(observed.sensitive)
    chosen.progress("all rows", 0, total)
    _fill(told.metrics, task.metrics(np.ones(rows, dtype=bool)))
    for done, (name, column) in enumerate(observed.slices.items(), 1):
        chosen.progress(name, done, total)
        _slices(told, name, column, task, chosen)
    for done, (name, column) in enumerate(observed.sensitive.items(), 1 + len(observed.slices)):
        chosen.progress(name, done, total)
        told.fairness.append(task.fairness(name, column))
    chosen.progress("", total, total)
    return told


def _slices(told: Evaluation, name: str, column: Column, task: _Task, chosen: Choices) -> None:
    for value, inside in parts(column, chosen.minimum_rows):
        if len(told.slices) >= MOST_SLICES:
            raise ValueError(f"more than {MOST_SLICES} slices; choose fewer columns, or put values together")
        part = told.slices.add(column=name, value=value, rows=int(inside.sum()))
        _fill(part.metrics, task.metrics(inside))


def _binary(observed: Observations, chosen: Choices, told: Evaluation) -> _Task:
    labels = texts(observed.labels)
    given = None if observed.predictions is None else texts(observed.predictions)
    known = classes_of(labels, given)
    if len(known) > 2:
        raise ValueError(f"{len(known)} labels are no two: {', '.join(known[:8])}; leave the scores out")
    told.positive_label = positive_of(known, chosen.positive)
    positive = labels == told.positive_label
    if isinstance(observed.scores, Mapping):
        raise ValueError("two labels have one column of scores: that of the positive one")
    scores = None if observed.scores is None else numbers(observed.scores, "scores")
    if given is not None:
        said = given == told.positive_label
    elif scores is not None:
        said, told.threshold = scores >= chosen.threshold, chosen.threshold
    else:
        raise ValueError("there is nothing to measure: give predictions, or scores")
    _matrix(told, positive, said, known)
    probabilities = scores is not None and are_probabilities(scores)
    if scores is not None:
        told.curves.extend(curves(positive, scores, probabilities=probabilities))

    def metrics(inside: Bools) -> Mapping[str, Metric]:
        found = classes.binary(positive[inside], said[inside], chosen.level)
        if scores is not None:
            found |= of_scores(positive[inside], scores[inside], chosen.level, probabilities=probabilities)
        return found

    right = positive == said
    return _Task(metrics, lambda name, column: fairness.of_classes(name, column, right, chosen, (positive, said)))


def _matrix(told: Evaluation, positive: Bools, said: Bools, known: list[str]) -> None:
    """The negative label first. Where all rows have the positive one, the other is called `not` it."""
    negative = next((one for one in known if one != told.positive_label), f"not {told.positive_label}")
    tp, fp, tn, fn = classes.four(positive, said)
    told.confusion.labels.extend([negative, told.positive_label])
    told.confusion.counts.extend([tn, fp, fn, tp])


def _multiclass(observed: Observations, chosen: Choices, told: Evaluation) -> _Task:
    labels, scores = texts(observed.labels), None
    if isinstance(observed.scores, Mapping):
        names = sorted(observed.scores)
        scores = np.column_stack([numbers(observed.scores[name], f"scores {name}") for name in names])
        if unknown := sorted(set(classes_of(labels, None)) - set(names)):
            raise ValueError(f"label {unknown[0]!r} has no column of scores; there are {', '.join(names)}")
    if observed.predictions is not None:
        said = texts(observed.predictions)
    elif scores is not None:
        said = np.array(names)[np.argmax(scores, axis=1)]
    else:
        raise ValueError("give the predictions, or a column of scores for each label")
    known = classes_of(labels, said)
    if len(known) > 1:
        told.confusion.CopyFrom(classes.matrix_of(classes.confusion(labels, said, known), known))
    right = labels == said

    def metrics(inside: Bools) -> Mapping[str, Metric]:
        found = classes.multiclass(classes.confusion(labels[inside], said[inside], known), chosen.level)
        if scores is not None:
            found |= of_many_scores(labels[inside], scores[inside], names, chosen.level)
        return found

    return _Task(metrics, lambda name, column: fairness.of_classes(name, column, right, chosen, None))


def _regression(observed: Observations, chosen: Choices, told: Evaluation) -> _Task:
    if observed.predictions is None:
        raise ValueError("give the predicted numbers as predictions")
    labels, said = numbers(observed.labels, "labels"), numbers(observed.predictions, "predictions")

    def metrics(inside: Bools) -> Mapping[str, Metric]:
        return regression(labels[inside], said[inside], chosen.level, chosen.unit)

    return _Task(metrics, lambda name, column: fairness.of_numbers(name, column, labels, said, chosen))


def _fill(target: MutableMapping[str, Metric], found: Mapping[str, Metric]) -> None:
    for name, one in found.items():
        target[name].CopyFrom(one)
