"""What is kept of pairs of prediction and label beside their table: sums of errors, and counts of scores by label.

Additive and bounded like profiles; sums do not round, so that any split of the pairs gives the same bytes.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats, Integers, added, exact_sums

BINS = 10  # Of the calibration error.
_STEPS = 32  # Parts between a power of two and the next.
_POWERS = 31
_HALF = _STEPS * _POWERS  # Parts below a half.
PARTS = 2 * _HALF + 1
_MOST = 1e70  # Fourth powers of errors of what is beyond would add up to no doubles.
_LEAST = 1e-70
_STEP = float(np.finfo(np.float64).eps)
_LABELS = {"0": 0, "1": 1, "false": 0, "true": 1, "False": 0, "True": 1}


class Numbers(NamedTuple):
    """Pairs as numbers: predictions and labels of those that are numbers, scores with their label, 0 or 1."""

    predictions: Floats
    labels: Floats
    scores: Floats
    positive: Floats


def numbers_of(pairs: Iterable[tuple[str, str]]) -> Numbers:
    """Of pairs as `performance.text_of` writes them."""
    both = [(_number(prediction), _number(label), _LABELS.get(label)) for prediction, label in pairs]
    known = [(p, label) for p, label, _ in both if abs(p) <= _MOST and abs(label) <= _MOST]
    scored = [(p, label) for p, _, label in both if label is not None and 0 <= p <= 1]
    errors = np.array(known, dtype=np.float64).reshape(-1, 2)
    scores = np.array(scored, dtype=np.float64).reshape(-1, 2)
    return Numbers(errors[:, 0], errors[:, 1], scores[:, 0], scores[:, 1])


def _number(text: str) -> float:
    """NaN when it is none, which then fits nowhere."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def count_errors(predictions: Floats, labels: Floats) -> types.Errors:
    sizes = np.abs(labels - predictions)
    absolute, squared = exact_sums(sizes)
    _, fourth = exact_sums(sizes * sizes)
    total, squares = exact_sums(labels)
    divisible = np.abs(labels) > _LEAST
    share, share_squared = exact_sums(sizes[divisible] / np.abs(labels[divisible]))
    return types.Errors(
        rows=len(labels),
        absolute=absolute,
        squared=squared,
        fourth=fourth,
        labels=total,
        labels_squared=squares,
        zeros=len(labels) - int(divisible.sum()),
        share=share,
        share_squared=share_squared,
    )


def count_scores(scores: Floats, positive: Floats) -> types.Scores:
    """positive: 1 or 0, one a score in 0..1."""
    squares = np.square(scores - positive)
    squared, fourth = exact_sums(squares)
    likely = np.clip(np.where(positive == 1, scores, 1 - scores), _STEP, 1 - _STEP)
    # numpy's logarithm depends on the processor in its last bit; this one does not.
    losses, losses_squared = exact_sums(np.array([-math.log(one) for one in likely.tolist()]))
    counted = types.Scores(squared=squared, fourth=fourth, losses=losses, losses_squared=losses_squared)
    _write_counts(counted, Counter(zip(parts_of(scores).tolist(), positive.tolist(), strict=True)))
    tenths = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    for tenth in range(BINS):
        inside = tenths == tenth
        total, _ = exact_sums(scores[inside])
        counted.calibration.add(rows=int(inside.sum()), positives=int(positive[inside].sum()), scores=total)
    return counted


def _write_counts(scores: types.Scores, counts: Counter[tuple[int, float]]) -> None:
    for part in sorted({part for part, _ in counts}):
        scores.counts.add(part=part, positives=counts[part, 1.0], negatives=counts[part, 0.0])


def parts_of(scores: Floats) -> Integers:
    """The part of each score in 0..1, ascending with the score: by exponent and the first bits of the mantissa of the
    score below a half, and of its distance from 1 above."""
    low = scores < 0.5
    mantissa, exponent = np.frexp(np.where(low, scores, 1 - scores))
    step = np.floor((mantissa - 0.5) * 2 * _STEPS).astype(np.int64)
    place = np.maximum((exponent.astype(np.int64) + _POWERS) * _STEPS + step, 0)
    place[mantissa == 0] = 0
    parts: Integers = np.where(low, np.minimum(place, _HALF - 1), PARTS - 1 - np.minimum(place, _HALF))
    return parts


def left_edge(part: int) -> float:
    """The least score of a part, or 1 behind the last one; one half and 1 are parts of their own."""
    if part > _HALF:
        return 1 - left_edge(PARTS - part) if part < PARTS else 1.0
    power, step = divmod(part, _STEPS)
    return math.ldexp(0.5 + step / (2 * _STEPS), power - _POWERS) if part else 0.0


def merge_errors(mine: types.Errors, other: types.Errors) -> None:
    _add_all(mine, other)


def merge_scores(mine: types.Scores, other: types.Scores) -> None:
    counts: Counter[tuple[int, float]] = Counter()
    for one in (*mine.counts, *other.counts):
        counts[one.part, 1.0] += one.positives
        counts[one.part, 0.0] += one.negatives
    del mine.counts[:]
    _write_counts(mine, counts)
    if not mine.calibration:
        mine.calibration.extend(types.CalibrationBin() for _ in other.calibration)
    for tenth, more in zip(mine.calibration, other.calibration, strict=True):
        _add_all(tenth, more)
    _add_all(mine, other)


def _add_all(mine: Any, other: Any) -> None:
    """Adds every count and every exact sum of `other` to `mine`."""
    for field in mine.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.message_type is not None:
            getattr(mine, field.name).CopyFrom(added(getattr(mine, field.name), getattr(other, field.name)))
        else:
            setattr(mine, field.name, getattr(mine, field.name) + getattr(other, field.name))
