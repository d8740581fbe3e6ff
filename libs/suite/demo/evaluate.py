"""Measures an exported model the way the registry records it: overall, by slice, and how groups are treated."""

from collections.abc import Iterator, MutableMapping

import numpy as np
import numpy.typing as npt

from modelog.registry.v1.types_pb2 import DataSet, Evaluation, Fairness, Metric
from suite.demo.train import Data, run

Mask = npt.NDArray[np.bool_]

# Has next to nothing to do with being ill, so its halves are groups that deserve the same treatment.
GROUP_COLUMN = "mean_fractal_dimension"
SLICE_COLUMN = "mean_texture"


def evaluation(model: bytes, data: Data, data_set: DataSet, *, threshold: float = 0.5) -> Evaluation:
    """The measurement of an ONNX model on `data`, calling malignant what has at least `threshold` probability."""
    _, scores = run(model, data.rows)
    found = scores >= threshold
    measured = Evaluation(data_set=data_set, method=f"ONNX Runtime on all rows at once, threshold {threshold:g}")
    _fill(measured.metrics, found, data.labels == 1)
    measured.metrics["auc"].CopyFrom(_metric(area_under_curve(scores, data.labels == 1)))
    for value, mask in _halves(data, SLICE_COLUMN):
        part = measured.slices.add(column=SLICE_COLUMN, value=value, rows=int(mask.sum()))
        _fill(part.metrics, found[mask], data.labels[mask] == 1)
    measured.fairness.append(_fairness(found, data))
    return measured


def share_of(found: Mask) -> float:
    """Share of true ones, 0..1; 0 of nothing."""
    return float(found.mean()) if found.size else 0.0


def area_under_curve(scores: npt.NDArray[np.float32], ill: Mask) -> float:
    """Chance that an ill row scores above a healthy one, ties counting half (Hanley and McNeil 1982)."""
    pairs = scores[ill][:, None] - scores[~ill][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def _fill(metrics: MutableMapping[str, Metric], found: Mask, ill: Mask) -> None:
    metrics["accuracy"].CopyFrom(_metric(share_of(found == ill)))
    metrics["recall"].CopyFrom(_metric(share_of(found[ill])))
    metrics["precision"].CopyFrom(_metric(share_of(ill[found])))


def _metric(value: float, *, higher_is_better: bool = True) -> Metric:
    return Metric(value=round(value, 6), higher_is_better=higher_is_better)


def _halves(data: Data, column: str) -> Iterator[tuple[str, Mask]]:
    values = data.rows[:, data.columns.index(column)]
    middle = float(np.median(values))
    yield f"below {middle:.4g}", values < middle
    yield f"from {middle:.4g}", values >= middle


def _fairness(found: Mask, data: Data) -> Fairness:
    """Differences of the shares called malignant, and of the malignant ones found, between two groups."""
    (one, first), (other, second) = _halves(data, GROUP_COLUMN)
    ill = data.labels == 1
    parity = abs(share_of(found[first]) - share_of(found[second]))
    opportunity = abs(share_of(found[first & ill]) - share_of(found[second & ill]))
    return Fairness(
        attribute=GROUP_COLUMN,
        metrics={
            "demographic_parity_difference": _metric(parity, higher_is_better=False),
            "equal_opportunity_difference": _metric(opportunity, higher_is_better=False),
        },
        group_rows={one: int(first.sum()), other: int(second.sum())},
    )
