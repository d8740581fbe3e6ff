"""What the checks say about a window. Pure: the same profiles and the same check give the same result, bit for bit.

A changed computation gets a new version in METHOD_NAMES; results tell which one made them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import statistics
from services.monitoring.exact import Integers

METHOD_NAMES = {
    types.METHOD_PSI: "psi/1",
    types.METHOD_KOLMOGOROV_SMIRNOV: "kolmogorov-smirnov/1 p-value kolmogorov-stephens/1",
    types.METHOD_ACCURACY: "accuracy/1",
    types.METHOD_MISSING_SHARE: "missing-share/1",
    types.METHOD_ERROR_RATE: "error-rate/1",
    types.METHOD_VOLUME: "volume/1",
}
TRACKS = dict.fromkeys(METHOD_NAMES, types.TRACK_PREDICTIONS) | {types.METHOD_ACCURACY: types.TRACK_LABELS}
BY_COLUMN = (types.METHOD_PSI, types.METHOD_KOLMOGOROV_SMIRNOV, types.METHOD_MISSING_SHARE)
_LOW_IS_BAD = (types.METHOD_ACCURACY, types.METHOD_VOLUME)
_MOST_COLUMN_BYTES = 24 * 1024  # Of all checks of a window together: the fact has to fit into 64 KiB.
_SEVEREST_FIRST = (types.OUTCOME_FAILED, types.OUTCOME_OK, types.OUTCOME_INCONCLUSIVE, types.OUTCOME_NO_DATA)


class Measure(NamedTuple):
    """A statistic and the rows it was computed from; or, without a statistic, why there is none."""

    rows: int
    statistic: float = math.nan
    p_value: float | None = None
    explanation: str = ""


def evaluate_all(
    checks: Iterable[types.Check], track: types.Track, window: types.ProfileSet, baseline: types.ProfileSet | None
) -> list[types.CheckResult]:
    """What those of the checks that look at this track say about a window."""
    meant = [check for check in checks if TRACKS[check.method] == track]
    return [evaluate(check, window, baseline, _MOST_COLUMN_BYTES // len(meant)) for check in meant]


def reevaluate(
    fact: facts.WindowEvaluated, window: types.ProfileSet, baseline: types.ProfileSet | None
) -> list[types.CheckResult]:
    """The results of an evaluated window again, from the profiles whose digests its fact holds."""
    return evaluate_all([result.check for result in fact.results], fact.window.track, window, baseline)


def evaluate(
    check: types.Check,
    window: types.ProfileSet,
    baseline: types.ProfileSet | None,
    most_column_bytes: int = _MOST_COLUMN_BYTES,
) -> types.CheckResult:
    """What `check` says about `window`, compared with `baseline` where its method compares.

    Lists columns worst first as far as `most_column_bytes` go, and counts the others.
    """
    result = types.CheckResult(check=check, method=METHOD_NAMES[check.method])
    if check.method in BY_COLUMN:
        _judge_columns(result, window, baseline, most_column_bytes)
    else:
        _judge_window(result, _MEASURES[check.method](window))
    return result


def _judge_window(result: types.CheckResult, measure: Measure) -> None:
    result.outcome = _outcome(result.check, measure)
    result.rows = measure.rows
    result.explanation = measure.explanation
    if not math.isnan(measure.statistic):
        result.statistic = measure.statistic
    if result.outcome == types.OUTCOME_INCONCLUSIVE and not measure.explanation:
        result.explanation = _too_few(result.check, measure.rows)


def _judge_columns(
    result: types.CheckResult, window: types.ProfileSet, baseline: types.ProfileSet | None, most_bytes: int
) -> None:
    check = result.check
    known = {(one.role, one.name): one for one in (baseline.columns if baseline else ())}
    columns = [one for one in window.columns if _is_meant(check, one)]
    measured = [(one, _measure(check, one, known.get((one.role, one.name)))) for one in columns]
    judged = [(_column_result(check, one, measure), measure) for one, measure in measured]
    judged.sort(key=lambda pair: _severity(pair[0]))
    absent = sorted(set(check.columns) - {one.name for one in columns})
    _summarize(result, [one for one, _ in judged], window.rows)
    _list_columns(result, [one for one, _ in judged], most_bytes)
    if result.outcome not in (types.OUTCOME_OK, types.OUTCOME_FAILED):
        reasons = [measure.explanation for _, measure in judged if measure.explanation]
        result.explanation = reasons[0] if reasons else _too_few(check, result.rows)
    if absent and window.rows:
        result.explanation = f"no column {', '.join(absent)}"[:1000]


def _is_meant(check: types.Check, profile: types.Profile) -> bool:
    if check.columns:
        return profile.name in check.columns
    return check.method != types.METHOD_KOLMOGOROV_SMIRNOV or profile.WhichOneof("values") != "categories"


def _column_result(check: types.Check, profile: types.Profile, measure: Measure) -> types.ColumnResult:
    result = types.ColumnResult(
        column=profile.name, role=profile.role, outcome=_outcome(check, measure), rows=measure.rows
    )
    if not math.isnan(measure.statistic):
        result.statistic = measure.statistic
    if measure.p_value is not None:
        result.p_value = measure.p_value
    return result


def _severity(result: types.ColumnResult) -> tuple[int, float, int, str]:
    return _SEVEREST_FIRST.index(result.outcome), -result.statistic, result.role, result.column


def _summarize(result: types.CheckResult, columns: Sequence[types.ColumnResult], rows: int) -> None:
    outcomes = [one.outcome for one in columns]
    failed = outcomes.count(types.OUTCOME_FAILED)
    if failed and failed >= result.check.failing_columns:
        result.outcome = types.OUTCOME_FAILED
    elif failed or types.OUTCOME_OK in outcomes:
        result.outcome = types.OUTCOME_OK
    elif types.OUTCOME_INCONCLUSIVE in outcomes or (rows and not columns):
        result.outcome = types.OUTCOME_INCONCLUSIVE
    else:
        result.outcome = types.OUTCOME_NO_DATA
    result.rows = rows
    if columns:
        result.column, result.statistic, result.rows = columns[0].column, columns[0].statistic, columns[0].rows


def _list_columns(result: types.CheckResult, columns: Sequence[types.ColumnResult], most_bytes: int) -> None:
    size = 0
    for one in columns:
        size += one.ByteSize() + 3  # Tag and length of the element.
        if size > most_bytes:
            result.omitted_columns += 1
        else:
            result.columns.append(one)


def _outcome(check: types.Check, measure: Measure) -> types.Outcome:
    if math.isnan(measure.statistic):
        return types.OUTCOME_INCONCLUSIVE if measure.rows else types.OUTCOME_NO_DATA
    if check.method == types.METHOD_VOLUME:
        return types.OUTCOME_FAILED if measure.statistic < check.threshold else types.OUTCOME_OK
    if measure.rows < check.minimum_rows:
        return types.OUTCOME_INCONCLUSIVE
    if check.method in _LOW_IS_BAD:
        return types.OUTCOME_FAILED if measure.statistic < check.threshold else types.OUTCOME_OK
    beyond = measure.statistic > check.threshold
    if beyond and check.significance and measure.p_value is not None:
        beyond = measure.p_value < check.significance
    return types.OUTCOME_FAILED if beyond else types.OUTCOME_OK


def _too_few(check: types.Check, rows: int) -> str:
    if not rows:
        return "no rows"
    return f"{rows} rows, fewer than {check.minimum_rows}"


def _measure(check: types.Check, window: types.Profile, baseline: types.Profile | None) -> Measure:
    if check.method == types.METHOD_MISSING_SHARE:
        return missing_share(window)
    rows = _values(window)
    if not rows:
        return Measure(0)
    if baseline is None:
        return Measure(rows, explanation=f"the baseline has no column {window.name}")
    if not _values(baseline):
        return Measure(rows, explanation=f"the baseline has no values of {window.name}")
    if check.method == types.METHOD_PSI:
        return psi(window, baseline, check.bins)
    return kolmogorov_smirnov(window, baseline)


def _values(profile: types.Profile) -> int:
    """Rows that hold a value which was counted."""
    return profile.rows - profile.missing - profile.invalid


def psi(window: types.Profile, baseline: types.Profile, bins: int) -> Measure:
    """Population stability index in nats: see `statistics.population_stability_index`.

    Numbers are cut into `bins` parts of equal share in the baseline, the outer ones open to both sides. Categories are
    taken one by one; those the baseline does not list make one part.
    """
    expected, actual = _parts(baseline, window)
    if window.WhichOneof("values") != "categories":
        cuts = statistics.equal_parts(expected, bins)
        expected, actual = statistics.grouped(expected, cuts), statistics.grouped(actual, cuts)
    return Measure(_values(window), statistics.population_stability_index(expected, actual))


def kolmogorov_smirnov(window: types.Profile, baseline: types.Profile) -> Measure:
    """Distance of Kolmogorov and Smirnov, 0..1, with its p-value: see `statistics.kolmogorov_smirnov`."""
    if window.WhichOneof("values") == "categories":
        return Measure(_values(window), explanation=f"{window.name} holds categories, which have no order")
    distance = statistics.kolmogorov_smirnov(_between_edges(baseline.numbers), _between_edges(window.numbers))
    p_value = statistics.kolmogorov_p_value(distance, baseline.numbers.count, window.numbers.count)
    return Measure(_values(window), distance, p_value)


def _between_edges(numbers: types.NumberProfile) -> Integers:
    """Counts from below the first edge to above the last one."""
    return np.array([numbers.below, *numbers.counts, numbers.above], dtype=np.int64)


def _parts(baseline: types.Profile, window: types.Profile) -> tuple[Integers, Integers]:
    """Counts of both over the same parts; values outside the baseline's edges belong to the outer parts."""
    if window.WhichOneof("values") == "categories":
        expected = [one.count for one in baseline.categories.categories]
        actual = [one.count for one in window.categories.categories]
        expected.append(baseline.categories.other + baseline.categories.unseen)
        actual.append(window.categories.other + window.categories.unseen)
    else:
        expected, actual = list(baseline.numbers.counts), list(window.numbers.counts)
        expected[0] += baseline.numbers.below
        expected[-1] += baseline.numbers.above
        actual[0] += window.numbers.below
        actual[-1] += window.numbers.above
    return np.array(expected, dtype=np.int64), np.array(actual, dtype=np.int64)


def missing_share(window: types.Profile) -> Measure:
    """Share of rows in which the column is missing or invalid, 0..1."""
    if not window.rows:
        return Measure(0)
    return Measure(window.rows, (window.missing + window.invalid) / window.rows)


def accuracy(window: types.ProfileSet) -> Measure:
    """Share of predictions that equal their label, 0..1, of those whose label has come; rows says how many they are."""
    pairs = window.performance.pairs
    return Measure(pairs, window.performance.correct / pairs) if pairs else Measure(0)


def error_rate(window: types.ProfileSet) -> Measure:
    """Share of requests answered with an error, 0..1; one answered row counts as one request."""
    requests = window.rows + window.dropped_rows + window.failed_requests
    return Measure(requests, window.failed_requests / requests) if requests else Measure(0)


def volume(window: types.ProfileSet) -> Measure:
    """Rows of the window, counted or dropped by an inference server."""
    rows = window.rows + window.dropped_rows
    return Measure(rows, float(rows))


_MEASURES: dict[types.Method, Callable[[types.ProfileSet], Measure]] = {
    types.METHOD_ACCURACY: accuracy,
    types.METHOD_ERROR_RATE: error_rate,
    types.METHOD_VOLUME: volume,
}
