"""What a monitor may ask for: its windows and its checks, made complete and refused where they make no sense."""

from collections.abc import Iterable

from kernel.errors import invalid_field
from kernel.names import check_id
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import BY_COLUMN, METHOD_NAMES

_COMPARING = (types.METHOD_PSI, types.METHOD_KOLMOGOROV_SMIRNOV)
_SHARES = (
    types.METHOD_KOLMOGOROV_SMIRNOV,
    types.METHOD_ACCURACY,
    types.METHOD_MISSING_SHARE,
    types.METHOD_ERROR_RATE,
)
_MINIMUM_ROWS = 100
_MOST_BYTES = 16 * 1024  # Every window's fact repeats the checks it was judged by.
_BINS = 10


def complete_window(window: types.WindowSpec) -> types.WindowSpec:
    """The window as it is recorded; Invalid unless it has exactly one size."""
    if bool(window.size_rows) == bool(window.size_seconds):
        raise invalid_field("window", "give exactly one of size_rows and size_seconds", "ONE_SIZE")
    if window.lateness_seconds and not window.size_seconds:
        raise invalid_field("window.lateness_seconds", "only windows by time can be late", "NOT_BY_TIME")
    complete = types.WindowSpec()
    complete.CopyFrom(window)
    return complete


def complete_checks(checks: Iterable[types.Check]) -> list[types.Check]:
    """The checks with every default written out, so that the fact says all; Invalid naming the field."""
    complete = [_complete(check, f"checks[{index}]") for index, check in enumerate(checks)]
    if not complete:
        raise invalid_field("checks", "give at least one check", "NO_CHECKS")
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
        complete.minimum_rows = 1 if complete.method == types.METHOD_VOLUME else _MINIMUM_ROWS
    if complete.method == types.METHOD_PSI and not complete.bins:
        complete.bins = _BINS
    if complete.method in BY_COLUMN:
        complete.failing_columns = complete.failing_columns or 1
    complete.raise_after_windows = complete.raise_after_windows or 1
    complete.resolve_after_windows = complete.resolve_after_windows or 1
    complete.severity = complete.severity or types.SEVERITY_WARNING
    return complete


def _refuse_nonsense(check: types.Check, field: str) -> None:
    check_id(check.id, f"{field}.id")
    if check.method not in METHOD_NAMES:
        raise invalid_field(f"{field}.method", "say what is to be computed", "NO_METHOD")
    if check.method in _SHARES and check.threshold > 1:
        raise invalid_field(f"{field}.threshold", f"{check.threshold} is no share: use 0 to 1", "NO_SHARE")
    if check.columns and check.method not in BY_COLUMN:
        raise invalid_field(f"{field}.columns", "this method looks at the window as a whole", "NO_COLUMNS")
    if check.failing_columns and check.method not in BY_COLUMN:
        raise invalid_field(f"{field}.failing_columns", "this method looks at the window as a whole", "NO_COLUMNS")
    if check.bins and (check.method != types.METHOD_PSI or check.bins < 2):
        raise invalid_field(f"{field}.bins", "only PSI cuts numbers into parts, two or more", "NO_BINS")
    if check.significance and check.method != types.METHOD_KOLMOGOROV_SMIRNOV:
        raise invalid_field(f"{field}.significance", "only KOLMOGOROV_SMIRNOV has a p-value", "NO_P_VALUE")


def needs_baseline(checks: Iterable[types.Check]) -> bool:
    return any(check.method in _COMPARING for check in checks)
