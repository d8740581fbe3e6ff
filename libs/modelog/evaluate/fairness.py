"""How differently the groups of a sensitive column are treated, from counts of each group alone.

Counts add up: those of two files are the sum of the counts of each. Definitions as in Hardt, Price and Srebro (NeurIPS
2016) for equalised odds and equal opportunity; the figures are those of fairlearn for the same rows.
"""

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np

from modelog.evaluate.classes import four
from modelog.evaluate.intervals import metric, of_mean, share
from modelog.evaluate.observed import Bools, Choices, Column, Floats, Texts, texts
from modelog.registry.v1.types_pb2 import Fairness, GroupCounts, Metric

_MOST_GROUPS = 64
SELECTION, TRUE_POSITIVE, FALSE_POSITIVE = "selection_rate", "true_positive_rate", "false_positive_rate"


def of_classes(
    attribute: str, column: Column, right: Bools, choices: Choices, positive: tuple[Bools, Bools] | None
) -> Fairness:
    """right: whether each row was predicted rightly. positive: for two labels, whether each row is positive,
    and whether it was taken for it."""
    groups, told = _grouped(attribute, column, choices)
    for name in told.group_rows:
        inside, counts = groups == name, told.groups[name]
        counts.rows = told.group_rows[name]
        counts.metrics["accuracy"].CopyFrom(share(int(right[inside].sum()), counts.rows, choices.level))
        if positive is not None:
            _fill(counts, positive[0][inside], positive[1][inside], choices.level)
    rates = {name: {key: one.value for key, one in counts.metrics.items()} for name, counts in told.groups.items()}
    compared = parity(rates, told.reference_group) if positive is not None else {}
    spread = _difference(_rates(rates, "accuracy"), told.reference_group)
    if spread is not None:
        compared["accuracy_difference"] = metric(spread, higher=False)
    _set(told.metrics, compared)
    return told


def of_numbers(attribute: str, column: Column, labels: Floats, predictions: Floats, choices: Choices) -> Fairness:
    """Mean absolute error and mean error (prediction minus label) of each group, and how far the groups are apart."""
    groups, told = _grouped(attribute, column, choices)
    for name in told.group_rows:
        errors, counts = (predictions - labels)[groups == name], told.groups[name]
        counts.rows = told.group_rows[name]
        for key, values, low in (("mae", np.abs(errors), 0.0), ("mean_error", errors, -np.inf)):
            interval = of_mean(values, choices.level, low=float(low))
            counts.metrics[key].CopyFrom(metric(float(np.mean(values)), interval, higher=False, unit=choices.unit))
    for key in ("mae", "mean_error"):
        values_of = {name: counts.metrics[key].value for name, counts in told.groups.items()}
        spread = _difference(values_of, told.reference_group)
        if spread is not None:
            told.metrics[f"{key}_difference"].CopyFrom(metric(spread, higher=False, unit=choices.unit))
    return told


def _grouped(attribute: str, column: Column, choices: Choices) -> tuple[Texts, Fairness]:
    """The groups of the rows, and the result with the rows of those that may be told apart."""
    groups = texts(column)
    names, counts = np.unique(groups, return_counts=True)
    rows = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    if len(rows) > _MOST_GROUPS:
        raise ValueError(f"{attribute}: {len(rows)} groups; at most {_MOST_GROUPS} are compared, so put some together")
    hidden = suppressed(rows, choices.minimum_rows)
    kept = {name: count for name, count in rows.items() if name not in hidden}
    reference = choices.reference.get(attribute, "")
    if reference and reference not in kept:
        raise ValueError(f"{attribute}: there is no group {reference!r} to compare with; there are {', '.join(kept)}")
    return groups, Fairness(
        attribute=attribute,
        group_rows=kept,
        suppressed_groups=len(hidden),
        suppressed_rows=sum(rows[name] for name in hidden),
        minimum_rows=choices.minimum_rows,
        reference_group=reference,
        method=_method(reference, choices),
    )


def _method(reference: str, choices: Choices) -> str:
    compared = f"each group with {reference}" if reference else "the extremes among groups"
    small = f"; groups below {choices.minimum_rows} rows are left out" if choices.minimum_rows else ""
    return f"compares {compared}; intervals of rates at {choices.level:g}{small}"


def suppressed(rows: Mapping[str, int], minimum_rows: int) -> set[str]:
    """Groups below the minimum, and the next smallest until those left out hold at least the minimum together: what is
    left out of a total that is known could be told by subtraction."""
    order = sorted(rows, key=lambda name: (rows[name], name))
    hidden = {name for name in order if rows[name] < minimum_rows}
    for name in order:
        if hidden and sum(rows[one] for one in hidden) < minimum_rows:
            hidden.add(name)
    return hidden


def _fill(counts: GroupCounts, labels: Bools, said: Bools, level: float) -> None:
    tp, fp, tn, fn = four(labels, said)
    counts.true_positives, counts.false_positives = tp, fp
    counts.true_negatives, counts.false_negatives = tn, fn
    rates = {SELECTION: (tp + fp, counts.rows), TRUE_POSITIVE: (tp, tp + fn), FALSE_POSITIVE: (fp, fp + tn)}
    for name, (part, whole) in rates.items():
        if whole:
            rate = share(part, whole, level, higher=name != FALSE_POSITIVE)
            counts.metrics[name].CopyFrom(rate)


def parity(rates: Mapping[str, Mapping[str, float]], reference: str) -> dict[str, Metric]:
    """Of the rates that are defined in at least two groups."""
    selected, true, false = (_rates(rates, name) for name in (SELECTION, TRUE_POSITIVE, FALSE_POSITIVE))
    differences = {
        "demographic_parity_difference": [_difference(selected, reference)],
        "equal_opportunity_difference": [_difference(true, reference)],
        "equalized_odds_difference": [_difference(true, reference), _difference(false, reference)],
    }
    ratios = {
        "demographic_parity_ratio": [_ratio(selected, reference)],
        "equal_opportunity_ratio": [_ratio(true, reference)],
        "equalized_odds_ratio": [_ratio(true, reference), _ratio(false, reference)],
    }
    found = {}
    for name, values in differences.items():
        if (known := _all(values)) is not None:
            found[name] = metric(max(known), higher=False)
    for name, values in ratios.items():
        if (known := _all(values)) is not None:
            found[name] = metric(min(known), higher=True)
    return found


def _all(values: Sequence[float | None]) -> list[float] | None:
    known = [one for one in values if one is not None]
    return known if len(known) == len(values) else None


def _rates(rates: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    return {group: one[name] for group, one in rates.items() if name in one}


def _difference(rates: Mapping[str, float], reference: str) -> float | None:
    """The largest difference of two groups, or from the reference."""
    if len(rates) < 2 or (reference and reference not in rates):
        return None
    if reference:
        return max(abs(one - rates[reference]) for one in rates.values())
    return max(rates.values()) - min(rates.values())


def _ratio(rates: Mapping[str, float], reference: str) -> float | None:
    """The smallest ratio of the smaller to the larger of two rates; undefined when the larger is 0."""
    if len(rates) < 2 or (reference and reference not in rates):
        return None
    if not reference:
        return min(rates.values()) / max(rates.values()) if max(rates.values()) else None
    pairs = [sorted((one, rates[reference])) for name, one in rates.items() if name != reference]
    return min(low / high for low, high in pairs) if all(high for _, high in pairs) else None


def _set(target: MutableMapping[str, Metric], found: Mapping[str, Metric]) -> None:
    for name, one in found.items():
        target[name].CopyFrom(one)
