"""What is wrong with the data of a window, whatever the model makes of it."""

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import sketches
from services.monitoring.measures import Measure, values_of

_MICROSECONDS = 1_000_000


def missing_share(_check: types.Check, window: types.Profile) -> Measure:
    """Share of rows in which the column is missing or invalid, 0..1."""
    if not window.rows:
        return Measure(0)
    return Measure(window.rows, (window.missing + window.invalid) / window.rows)


def invalid_share(_check: types.Check, window: types.Profile) -> Measure:
    """Share of rows whose value is infinite, or text where the baseline has numbers, or the other way round; 0..1."""
    return Measure(window.rows, window.invalid / window.rows) if window.rows else Measure(0)


def out_of_range_share(_check: types.Check, window: types.Profile, _baseline: types.Profile) -> Measure:
    """Share of the values below the smallest or above the greatest one of the baseline, 0..1."""
    if window.WhichOneof("values") == "categories":
        return Measure(values_of(window), explanation=f"{window.name} holds categories, which have no range")
    return Measure(values_of(window), (window.numbers.below + window.numbers.above) / values_of(window))


def unseen_share(_check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """Share of the values in categories that the baseline does not list, 0..1."""
    if window.WhichOneof("values") != "categories":
        return Measure(values_of(window), explanation=f"{window.name} holds numbers; see OUT_OF_RANGE_SHARE")
    if baseline.categories.other:
        reason = f"the baseline lists only {len(baseline.categories.categories)} categories of {window.name}"
        return Measure(values_of(window), explanation=reason)
    return Measure(values_of(window), window.categories.unseen / values_of(window))


def constant(_check: types.Check, window: types.Profile, baseline: types.Profile) -> Measure:
    """1 when the column has one value only where the baseline has several, else 0."""
    return Measure(values_of(window), float(_is_constant(window) and not _is_constant(baseline)))


def _is_constant(profile: types.Profile) -> bool:
    if profile.WhichOneof("values") != "categories":
        return profile.numbers.minimum == profile.numbers.maximum
    listed = sum(one.count > 0 for one in profile.categories.categories)
    beyond = profile.categories.other + profile.categories.unseen
    if not beyond:
        return listed <= 1
    # One category that is not listed may be many; the registers tell, and are exact at one.
    return not listed and profile.HasField("distinct") and sketches.estimate(profile.distinct) < 1.5


def schema(_check: types.Check, window: types.Profile) -> Measure:
    """1 for a column that no row has, or whose values are all of another type; else 0."""
    if not window.rows:
        return Measure(0)
    return Measure(window.rows, float(window.rows in (window.missing, window.invalid)))


def duplicate_share(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of rows whose inputs had been in the window before, 0..1: 1 - distinct / rows.

    Distinct rows are estimated: see `sketches`; the error bound is its standard error, 2.3 percent of them.
    """
    if not window.rows:
        return Measure(0)
    if not window.HasField("distinct_rows"):
        return Measure(window.rows, explanation="no inputs came")
    distinct = min(sketches.estimate(window.distinct_rows), float(window.rows))
    bound = sketches.STANDARD_ERROR * distinct / window.rows
    return Measure(window.rows, 1 - distinct / window.rows, error_bound=bound)


def error_rate(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Share of requests answered with an error, 0..1; one answered row counts as one request."""
    requests = window.rows + window.dropped_rows + window.failed_requests
    return Measure(requests, window.failed_requests / requests) if requests else Measure(0)


def volume(_check: types.Check, window: types.ProfileSet) -> Measure:
    """Rows of the window, counted or dropped by an inference server."""
    rows = window.rows + window.dropped_rows
    return Measure(rows, float(rows))


def freshness(bounds: types.Window, window: types.ProfileSet) -> Measure:
    """Seconds from the newest row to the end of the window, its whole length when it is empty."""
    end = bounds.end_time.ToMicroseconds()
    newest = window.newest_microseconds or bounds.start_time.ToMicroseconds()
    return Measure(window.rows, max(0, end - newest) / _MICROSECONDS)
