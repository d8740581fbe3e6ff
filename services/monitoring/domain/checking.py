"""What a monitor may ask for: its windows and its checks, made complete and refused where they make no sense."""

from collections.abc import Iterable

from kernel.errors import invalid_field
from kernel.names import check_id
from modelog.monitoring.v1 import fits_pb2 as fits
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import discrepancy, groups, ranking, series, service
from services.monitoring.methods import ALSO_WHEN_EMPTY, METHODS, computed, needs_sample

_MINIMUM_ROWS = 100
_MOST_BYTES = 16 * 1024  # Every window's fact repeats the checks it was judged by.
_BINS = 10
_MOST_STEPS = 64
_DEVIATIONS = 3.0
_QUANTILE = 0.99
_SAMPLE_DAYS = 7
_MOST_SAMPLED = 4  # Each takes about a tenth of a second for 1000 rows.
_MOST_SERIES = 8  # Every fact and the monitor hold them.


def complete_window(window: types.WindowSpec) -> types.WindowSpec:
    """The window as it is recorded; Invalid unless it has exactly one size."""
    if bool(window.size_rows) == bool(window.size_seconds):
        raise invalid_field("window", "give exactly one of size_rows and size_seconds", "ONE_SIZE")
    if window.lateness_seconds and not window.size_seconds:
        raise invalid_field("window.lateness_seconds", "only windows by time can be late", "NOT_BY_TIME")
    _refuse_wrong_steps(window)
    earlier = window.compare_with == types.COMPARISON_EARLIER_WINDOWS
    if earlier != bool(window.baseline_windows):
        raise invalid_field("window.baseline_windows", "say how many with EARLIER_WINDOWS, and only then", "NO_NUMBER")
    if window.compare_with == types.COMPARISON_RUNNING_VERSION and (window.versions_together or window.size_rows):
        raise invalid_field("window.compare_with", "only versions apart, by time, stand beside another", "NOT_BESIDE")
    if window.sample_days and not window.sample_rows:
        raise invalid_field("window.sample_days", "say how many rows are kept with sample_rows", "NO_SAMPLE")
    complete = types.WindowSpec()
    complete.CopyFrom(window)
    if complete.sample_rows and not complete.sample_days:
        complete.sample_days = _SAMPLE_DAYS
    return complete


def refuse_unsampled(window: types.WindowSpec, checks: Iterable[types.Check]) -> None:
    """Invalid when a check looks at rows and none, or not enough for it, are kept."""
    wanted = [check for check in checks if needs_sample(check)]
    if wanted and not window.sample_rows:
        names = ", ".join(sorted(check.id for check in wanted))
        reason = f"{names} compare rows: say how many are kept of a window, for example 1000"
        raise invalid_field("window.sample_rows", reason, "NO_SAMPLE")
    most = min(window.sample_rows, discrepancy.MOST_ROWS)
    for check in wanted:
        if check.minimum_rows > most:
            reason = f"{check.id} wants {check.minimum_rows} rows and gets at most {most}: lower its minimum_rows"
            raise invalid_field("checks", f"{reason}, or keep more", "NO_SAMPLE")


def _refuse_wrong_steps(window: types.WindowSpec) -> None:
    for unit in ("rows", "seconds"):
        size, step = getattr(window, f"size_{unit}"), getattr(window, f"step_{unit}")
        if step and (step >= size or size % step or size // step > _MOST_STEPS):
            reason = f"{step} does not divide {size} into 2 to {_MOST_STEPS} steps"
            raise invalid_field(f"window.step_{unit}", reason, "NO_STEP")


def complete_checks(checks: Iterable[types.Check]) -> list[types.Check]:
    """The checks with every default written out, so that the fact says all; Invalid naming the field."""
    complete = [_complete(check, f"checks[{index}]") for index, check in enumerate(checks)]
    if not complete:
        raise invalid_field("checks", "give at least one check", "NO_CHECKS")
    following = sum(check.method in series.METHODS for check in complete)
    if following > _MOST_SERIES:
        raise invalid_field("checks", f"{following} follow a series; at most {_MOST_SERIES} may", "TOO_MANY_SERIES")
    compared = sum(needs_sample(check) for check in complete)
    if compared > _MOST_SAMPLED:
        raise invalid_field("checks", f"{compared} compare rows; at most {_MOST_SAMPLED} may", "TOO_MANY_SAMPLED")
    ids = [check.id for check in complete]
    for index, one in enumerate(ids):
        if one in ids[:index]:
            raise invalid_field(f"checks[{index}].id", f"{one!r} is the id of two checks", "DUPLICATE_ID")
    if sum(check.ByteSize() for check in complete) > _MOST_BYTES:
        raise invalid_field("checks", f"more than {_MOST_BYTES} bytes; name fewer columns", "TOO_LARGE")
    return complete


def _complete(check: types.Check, field: str) -> types.Check:
    _refuse_nonsense(check, field)
    complete = types.Check()
    complete.CopyFrom(check)
    if not complete.minimum_rows:
        complete.minimum_rows = 1 if complete.method in ALSO_WHEN_EMPTY else _MINIMUM_ROWS
    method = METHODS[complete.method]
    if METHODS[computed(complete)].groups and not complete.minimum_group_rows:
        complete.minimum_group_rows = groups.MINIMUM_ROWS
    if computed(complete) == types.METHOD_LATENCY_QUANTILE:
        complete.quantile = complete.quantile or service.QUANTILE
    if method.bins and not complete.bins:
        complete.bins = _BINS
    if method.by_column and complete.method != types.METHOD_DATASET_DRIFT:
        complete.failing_columns = complete.failing_columns or 1
    if complete.HasField("fit"):
        _complete_fit(complete.fit)
    complete.raise_after_windows = complete.raise_after_windows or 1
    complete.resolve_after_windows = complete.resolve_after_windows or 1
    complete.severity = complete.severity or types.SEVERITY_WARNING
    return complete


def _complete_fit(fit: fits.Fit) -> None:
    if fit.fitting == fits.FITTING_QUANTILE:
        fit.quantile = fit.quantile or _QUANTILE
    else:
        fit.deviations = fit.deviations or _DEVIATIONS


def _refuse_nonsense(check: types.Check, field: str) -> None:
    check_id(check.id, f"{field}.id")
    method = METHODS.get(check.method)
    if method is None:
        raise invalid_field(f"{field}.method", "say what is to be computed", "NO_METHOD")
    if method.share and check.threshold > 1:
        raise invalid_field(f"{field}.threshold", f"{check.threshold} is no share: use 0 to 1", "NO_SHARE")
    by_column = method.by_column or (check.watched in METHODS and METHODS[check.watched].by_column)
    if check.columns and not by_column and METHODS.get(check.watched, method).sampled is None:
        raise invalid_field(f"{field}.columns", "this method looks at the window as a whole", "NO_COLUMNS")
    if check.failing_columns and (not method.by_column or check.method == types.METHOD_DATASET_DRIFT):
        raise invalid_field(f"{field}.failing_columns", "this method looks at the window as a whole", "NO_COLUMNS")
    if check.bins and (not method.bins or check.bins < 2):
        raise invalid_field(f"{field}.bins", "only methods over shares cut numbers, into two parts or more", "NO_BINS")
    if check.significance and not method.significance:
        raise invalid_field(f"{field}.significance", "this method has no p-value", "NO_P_VALUE")
    if check.positive and not METHODS.get(check.watched, method).positive:
        raise invalid_field(f"{field}.positive", "this method looks for no label", "NO_LABEL")
    if check.cut and not (method.cut or (check.watched in METHODS and METHODS[check.watched].cut)):
        raise invalid_field(f"{field}.cut", "this method does not cut scores", "NO_CUT")
    _refuse_wrong_series(check, field)
    _refuse_wrong_groups(check, field)
    _refuse_wrong_fit(check, field)
    if METHODS[computed(check)].estimated is not None and not check.columns:
        raise invalid_field(f"{field}.columns", "name the output that holds the probability", "NO_SCORE_COLUMN")


def _refuse_wrong_series(check: types.Check, field: str) -> None:
    follows = check.method in series.METHODS
    if follows and (check.watched not in METHODS or check.watched in series.METHODS):
        raise invalid_field(f"{field}.watched", "say which statistic is to be followed", "NOTHING_WATCHED")
    if follows and check.watched in (types.METHOD_DATASET_DRIFT, types.METHOD_DRIFT):
        raise invalid_field(f"{field}.watched", "name a single method, whose statistics compare", "NOTHING_WATCHED")
    if check.watched and not follows:
        raise invalid_field(f"{field}.watched", "this method follows no series", "NO_SERIES")
    if check.allowance and check.method != types.METHOD_PAGE_HINKLEY:
        raise invalid_field(f"{field}.allowance", "only PAGE_HINKLEY has an allowance", "NO_ALLOWANCE")
    if check.quantile and computed(check) != types.METHOD_LATENCY_QUANTILE:
        raise invalid_field(f"{field}.quantile", "only LATENCY_QUANTILE has one", "NO_QUANTILE")
    if check.season_windows and check.method != types.METHOD_ANOMALY:
        raise invalid_field(f"{field}.season_windows", "only ANOMALY knows seasons", "NO_SEASON")


def _refuse_wrong_groups(check: types.Check, field: str) -> None:
    compares = METHODS[computed(check)].groups
    if compares and not check.sensitive:
        raise invalid_field(f"{field}.sensitive", "name the sensitive column whose groups are compared", "NO_GROUPS")
    if (check.sensitive or check.minimum_group_rows) and not compares:
        raise invalid_field(f"{field}.sensitive", "this method compares no groups", "NO_GROUPS")
    if compares and check.cut and not groups.is_hundredth(check.cut):
        raise invalid_field(f"{field}.cut", "groups are cut at whole hundredths, for example 0.25", "NO_HUNDREDTH")
    if check.top and computed(check) != types.METHOD_NDCG:
        raise invalid_field(f"{field}.top", "only NDCG looks at the rows ranked first", "NO_TOP")
    if check.top not in ranking.TOPS:
        raise invalid_field(f"{field}.top", f"take one of {', '.join(map(str, ranking.TOPS))}", "NO_TOP")


def _refuse_wrong_fit(check: types.Check, field: str) -> None:
    if not check.HasField("fit"):
        return
    if check.method in series.METHODS or check.method == types.METHOD_DRIFT:
        raise invalid_field(f"{field}.fit", "only a single statistic of windows can be fitted; name one", "NO_FIT")
    if METHODS[check.method].groups:
        raise invalid_field(f"{field}.fit", "a baseline holds no sensitive columns; give a threshold", "NO_FIT")
    if check.threshold:
        raise invalid_field(f"{field}.threshold", "give a threshold or a fit, not both", "FITTED")
    if check.fit.chunks:
        raise invalid_field(f"{field}.fit.chunks", "the server says how many there were", "FITTED")
    if check.fit.deviations and check.fit.fitting == fits.FITTING_QUANTILE:
        raise invalid_field(f"{field}.fit.deviations", "a quantile has none", "NO_DEVIATIONS")
    if check.fit.quantile and check.fit.fitting != fits.FITTING_QUANTILE:
        raise invalid_field(f"{field}.fit.quantile", "only QUANTILE has one", "NO_QUANTILE")
