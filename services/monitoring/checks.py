"""What the checks say about a window. Pure: the same profiles and the same check give the same result, bit for bit.

A changed computation gets a new version in `methods`; results tell which one made them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import distances, drift, quality, series
from services.monitoring.measures import Measure, values_of
from services.monitoring.methods import ALSO_WHEN_EMPTY, METHODS, needs_sample, track_of
from services.monitoring.profile import Key
from services.monitoring.vectors import absent_in, pair_of

_MOST_COLUMN_BYTES = 24 * 1024  # Of all checks of a window together: the fact has to fit into 64 KiB.
ALL_COLUMN_BYTES = 1 << 30  # Where no fact has to hold them.
_MOST_EXPLANATION = 1000
_NOT_FITTED = "its threshold is not fitted yet; capture the baseline again, of rows that can be cut into chunks"
NO_ROWS = "no rows of the window are kept"
NO_BASELINE_ROWS = "no rows to compare with are kept; a captured baseline brings some with sample_rows"
_SEVEREST_FIRST = (types.OUTCOME_FAILED, types.OUTCOME_OK, types.OUTCOME_INCONCLUSIVE, types.OUTCOME_NO_DATA)

Judged = tuple[types.ColumnResult, Measure]


def evaluate_all(
    checks: Iterable[types.Check],
    track: types.Track,
    window: types.ProfileSet,
    baseline: types.ProfileSet | None,
    bounds: types.Window | None = None,
    before: Mapping[str, Sequence[float]] | None = None,
) -> list[types.CheckResult]:
    """What those of the checks that look at this track say about a window. bounds: where it begins and ends. before: by
    the id of the check the series that it follows."""
    meant = [check for check in checks if track_of(check) == track]
    most = _MOST_COLUMN_BYTES // max(1, len(meant))
    known = before or {}
    return [
        _follow(check, window, baseline, bounds, known.get(check.id, ()))
        if check.method in series.METHODS
        else evaluate(check, window, baseline, most, bounds)
        for check in meant
    ]


def reevaluate(
    fact: facts.WindowEvaluated, window: types.ProfileSet, baseline: types.ProfileSet | None
) -> list[types.CheckResult]:
    """The results of an evaluated window again, from the profiles whose digests its fact holds."""
    checks = [result.check for result in fact.results]
    before = {result.check.id: result.series for result in fact.results}
    return evaluate_all(checks, fact.window.track, window, baseline, fact.window, before)


def without_rows(fact: facts.WindowEvaluated, window: types.ProfileSet, baseline: types.ProfileSet | None) -> list[str]:
    """Ids of the checks that were computed from rows that are no longer there."""
    gone = fact.window.sample_digest and not window.HasField("sample")
    gone = gone or (fact.window.baseline_sample_digest and baseline is not None and not baseline.HasField("sample"))
    return [result.check.id for result in fact.results if needs_sample(result.check)] if gone else []


def evaluate(
    check: types.Check,
    window: types.ProfileSet,
    baseline: types.ProfileSet | None,
    most_column_bytes: int = _MOST_COLUMN_BYTES,
    bounds: types.Window | None = None,
) -> types.CheckResult:
    """What `check` says about `window`, compared with `baseline` where its method compares.

    Lists columns worst first as far as `most_column_bytes` go, and counts the others.
    """
    method = METHODS[check.method]
    result = types.CheckResult(check=check, method=method.version)
    if check.HasField("fit") and not check.fit.chunks:
        result.outcome, result.rows, result.explanation = types.OUTCOME_INCONCLUSIVE, window.rows, _NOT_FITTED
    elif method.by_column:
        _judge_columns(result, window, baseline, most_column_bytes)
    elif method.sampled is not None:
        _judge_window(result, _of_samples(check, window, baseline))
    elif method.of_window is not None:
        _judge_window(result, method.of_window(check, window))
    else:
        _judge_window(result, quality.freshness(bounds or types.Window(), window))
    return result


def _of_samples(check: types.Check, window: types.ProfileSet, baseline: types.ProfileSet | None) -> Measure:
    method = METHODS[check.method].sampled
    if not window.rows or method is None:
        return Measure(0)
    if not window.HasField("sample"):
        return Measure(window.rows, explanation=NO_ROWS)
    if baseline is None or not baseline.sample.hashes:
        return Measure(window.rows, explanation=NO_BASELINE_ROWS)
    pair = pair_of(check, window.sample, baseline.sample)
    if absent := absent_in(check, pair):
        return Measure(window.rows, explanation=f"no column {', '.join(absent)}"[:_MOST_EXPLANATION])
    if not pair.baseline:
        return Measure(window.rows, explanation="window and baseline have no input in common")
    return method(check, window.sample, baseline.sample)


def _follow(
    check: types.Check,
    window: types.ProfileSet,
    baseline: types.ProfileSet | None,
    bounds: types.Window | None,
    before: Sequence[float],
) -> types.CheckResult:
    """What a series says that goes on with what the watched method says of this window."""
    result = types.CheckResult(check=check, method=METHODS[check.method].version, series=before)
    watched = types.Check()
    watched.CopyFrom(check)
    watched.method, watched.bins = check.watched, drift.BINS
    told = evaluate(watched, window, baseline, 0, bounds)
    result.rows = told.rows
    if told.outcome not in (types.OUTCOME_OK, types.OUTCOME_FAILED):
        result.outcome, result.explanation = told.outcome, told.explanation
        return result
    result.observed, result.column = told.statistic, told.column
    measure = series.METHODS[check.method](check, [*before, told.statistic])
    _judge_window(result, measure._replace(rows=told.rows))
    return result


def continued(result: types.CheckResult) -> Sequence[float]:
    """The series as it is after a result."""
    if not result.HasField("observed"):
        return result.series
    if result.outcome == types.OUTCOME_FAILED and result.check.method in series.BEGIN_ANEW:
        return ()
    return [*result.series, result.observed][-series.MOST_VALUES :]


def _judge_window(result: types.CheckResult, measure: Measure) -> None:
    result.outcome = outcome_of(result.check, measure)
    result.rows = measure.rows
    result.explanation = measure.explanation
    result.error_bound = measure.error_bound
    result.groups.extend(measure.groups)
    if measure.interval is not None:
        result.interval.CopyFrom(measure.interval)
    if not math.isnan(measure.statistic):
        result.statistic = measure.statistic
    if measure.p_value is not None:
        result.p_value = measure.p_value
    if result.outcome == types.OUTCOME_INCONCLUSIVE and not measure.explanation:
        result.explanation = _too_few(result.check, measure.rows)


def _judge_columns(
    result: types.CheckResult, window: types.ProfileSet, baseline: types.ProfileSet | None, most_bytes: int
) -> None:
    check = result.check
    known = {(one.role, one.name): one for one in (baseline.columns if baseline else ())}
    columns = [one for one in window.columns if _is_meant(check, one)]
    labelled = baseline.performance if baseline else types.Performance()
    measured = [(one, _measure(check, one, known.get((one.role, one.name)), labelled)) for one in columns]
    if check.method == types.METHOD_DATASET_DRIFT:
        measured = _adjusted(check, measured)
    judged = [(_column_result(check, one, measure), measure) for one, measure in measured]
    if check.method == types.METHOD_SCHEMA:
        judged += [(one, Measure(window.rows, 1.0)) for one in _unknown(check, window)]
    judged.sort(key=lambda pair: severity(pair[0]))
    _explain_changes(check, [one for one, _ in judged], {(one.role, one.name): one for one in columns}, known)
    absent = sorted(set(check.columns) - {one.column for one, _ in judged})
    if check.method == types.METHOD_DATASET_DRIFT:
        _summarize_together(result, judged, window.rows)
    else:
        summarize(result, judged, window.rows)
    _list_columns(result, [one for one, _ in judged], most_bytes)
    if result.outcome not in (types.OUTCOME_OK, types.OUTCOME_FAILED):
        reasons = [measure.explanation for _, measure in judged if measure.explanation]
        result.explanation = reasons[0] if reasons else _too_few(check, result.rows)
    if absent and window.rows:
        result.explanation = f"no column {', '.join(absent)}"[:_MOST_EXPLANATION]


def _is_meant(check: types.Check, profile: types.Profile) -> bool:
    if check.columns:
        return profile.name in check.columns
    return profile.WhichOneof("values") in (None, *METHODS[check.method].kinds)


def _unknown(check: types.Check, window: types.ProfileSet) -> list[types.ColumnResult]:
    """Columns that came and that the baseline lacks."""
    outcome = outcome_of(check, Measure(window.rows, 1.0))
    return [
        types.ColumnResult(column=one.name, role=one.role, outcome=outcome, statistic=1.0, rows=window.rows)
        for one in window.unknown_columns
        if not check.columns or one.name in check.columns
    ]


def _adjusted(
    check: types.Check, measured: Sequence[tuple[types.Profile, Measure]]
) -> list[tuple[types.Profile, Measure]]:
    """Which columns drifted when all are tested together; p-values become adjusted ones."""
    tested = [one.p_value for _, one in measured if one.p_value is not None and one.rows >= check.minimum_rows]
    adjusted = iter(distances.benjamini_hochberg(np.array(tested, dtype=np.float64)).tolist())
    found = []
    for profile, one in measured:
        if one.p_value is None or one.rows < check.minimum_rows:
            found.append((profile, one))
            continue
        p_value = next(adjusted)
        drifted = p_value <= (check.significance or drift.SIGNIFICANCE)
        found.append((profile, one._replace(p_value=p_value, drifted=drifted)))
    return found


def _column_result(check: types.Check, profile: types.Profile, measure: Measure) -> types.ColumnResult:
    result = types.ColumnResult(
        column=profile.name,
        role=profile.role,
        outcome=outcome_of(check, measure),
        rows=measure.rows,
        error_bound=measure.error_bound,
        method=measure.method,
    )
    if not math.isnan(measure.statistic):
        result.statistic = measure.statistic
    if measure.p_value is not None:
        result.p_value = measure.p_value
    return result


def _explain_changes(
    check: types.Check,
    columns: Sequence[types.ColumnResult],
    window: Mapping[Key, types.Profile],
    baseline: Mapping[Key, types.Profile],
) -> None:
    """Columns that drifted tell which of their parts changed most."""
    if not METHODS[check.method].explains:
        return
    for one in columns:
        key = (one.role, one.column)
        if one.outcome == types.OUTCOME_FAILED and key in baseline:
            one.changes.extend(drift.changes(window[key], baseline[key], check.bins or drift.BINS))


def severity(result: types.ColumnResult) -> tuple[int, float, float, int, str]:
    """By which columns are listed, the worst first."""
    p_value = result.p_value if result.HasField("p_value") and result.method else 1.0
    worse = -result.statistic
    return _SEVEREST_FIRST.index(result.outcome), worse, p_value, result.role, result.column


def summarize(result: types.CheckResult, judged: Sequence[Judged], rows: int) -> None:
    """Writes what columns, worst first, come to together."""
    outcomes = [one.outcome for one, _ in judged]
    failed = outcomes.count(types.OUTCOME_FAILED)
    if failed and failed >= result.check.failing_columns:
        result.outcome = types.OUTCOME_FAILED
    elif failed or types.OUTCOME_OK in outcomes:
        result.outcome = types.OUTCOME_OK
    else:
        result.outcome = _without_outcome(outcomes, rows)
    result.rows = rows
    if judged:
        worst, measure = judged[0]
        result.column, result.statistic, result.rows = worst.column, worst.statistic, worst.rows
        result.error_bound = worst.error_bound
        if measure.interval is not None:
            result.interval.CopyFrom(measure.interval)


def _summarize_together(result: types.CheckResult, judged: Sequence[Judged], rows: int) -> None:
    """The share of the tested columns that drifted is what the threshold is for."""
    tested = [one for one, _ in judged if one.outcome in (types.OUTCOME_FAILED, types.OUTCOME_OK)]
    result.rows = rows
    if not tested:
        result.outcome = _without_outcome([one.outcome for one, _ in judged], rows)
        return
    drifted = sum(one.outcome == types.OUTCOME_FAILED for one in tested)
    result.statistic = drifted / len(tested)
    result.column = tested[0].column if drifted else ""
    beyond = result.statistic > result.check.threshold
    result.outcome = types.OUTCOME_FAILED if beyond else types.OUTCOME_OK


def _without_outcome(outcomes: Sequence[types.Outcome], rows: int) -> types.Outcome:
    if types.OUTCOME_INCONCLUSIVE in outcomes or (rows and not outcomes):
        return types.OUTCOME_INCONCLUSIVE
    return types.OUTCOME_NO_DATA


def _list_columns(result: types.CheckResult, columns: Sequence[types.ColumnResult], most_bytes: int) -> None:
    size = 0
    for one in columns:
        size += one.ByteSize() + 3  # Tag and length of the element.
        if size > most_bytes:
            result.omitted_columns += 1
        else:
            result.columns.append(one)


def outcome_of(check: types.Check, measure: Measure) -> types.Outcome:
    """What a check says of what its method found."""
    if math.isnan(measure.statistic):
        return types.OUTCOME_INCONCLUSIVE if measure.rows else types.OUTCOME_NO_DATA
    if check.method not in ALSO_WHEN_EMPTY and measure.rows < check.minimum_rows:
        return types.OUTCOME_INCONCLUSIVE
    if measure.drifted is not None:
        return types.OUTCOME_FAILED if measure.drifted else types.OUTCOME_OK
    if METHODS[check.method].low_is_bad:
        return types.OUTCOME_FAILED if measure.statistic < check.threshold else types.OUTCOME_OK
    beyond = measure.statistic > check.threshold
    if beyond and check.significance and measure.p_value is not None:
        beyond = measure.p_value < check.significance
    return types.OUTCOME_FAILED if beyond else types.OUTCOME_OK


def _too_few(check: types.Check, rows: int) -> str:
    if not rows:
        return "no rows"
    return f"{rows} rows, fewer than {check.minimum_rows}"


def _measure(
    check: types.Check, window: types.Profile, baseline: types.Profile | None, labelled: types.Performance
) -> Measure:
    method = METHODS[check.method]
    if method.of_column is not None:
        return method.of_column(check, window)
    rows = values_of(window)
    if not rows:
        return Measure(0)
    if method.estimated is not None:
        return method.estimated(check, window, labelled)
    if baseline is None:
        return Measure(rows, explanation=f"the baseline has no column {window.name}")
    if not values_of(baseline):
        return Measure(rows, explanation=f"the baseline has no values of {window.name}")
    if method.compared is not None:
        return method.compared(check, window, baseline)
    measure, name = drift.tested(check, window, baseline)
    return measure._replace(method=name)
