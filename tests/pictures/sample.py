"""Answers of monitoring as a busy monitor gives them: drift, a version replaced by another, alerts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.pictures_pb2 import (
    PART_KIND_CATEGORY,
    PART_KIND_NUMBER,
    PART_KIND_OTHER_CATEGORIES,
    PART_KIND_RANGE,
    PART_KIND_UNSEEN_CATEGORIES,
    ColumnDistribution,
    GetDistributionsResponse,
    GetSeriesResponse,
    PartShares,
)

NAME = "projects/risk/monitors/fraud-eu"
ENDPOINT = "projects/risk/endpoints/fraud-eu"
FIRST, SECOND = (f"projects/risk/models/fraud/versions/{number}" for number in (1, 2))
START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOWS = 12


def series(words: Callable[[str], str] = str) -> GetSeriesResponse:
    """words: what becomes of every name."""
    reply = GetSeriesResponse(endpoint=ENDPOINT)
    for column in ("age", "income"):
        _add(reply, "drift", types.METHOD_PSI, FIRST, lambda at: 0.02 * at, 0.1, column=words(column))
    _add(reply, "right", types.METHOD_ACCURACY, FIRST, lambda at: 0.95 - 0.01 * at, 0.9, below=True)
    _add(reply, "right", types.METHOD_ACCURACY, SECOND, lambda _: 0.96, 0.9, below=True)
    for number, check, opened, closed in ((1, "drift", 6, None), (2, "right", 7, 9)):
        episode = reply.episodes.add(number=number, check=check, version=FIRST, open_window=opened)
        episode.open_time.FromDatetime(START + timedelta(hours=opened))
        if closed:
            episode.close_window = closed
            episode.close_time.FromDatetime(START + timedelta(hours=closed))
    steps = {1: {FIRST: 100}, 8: {FIRST: 90, SECOND: 10}, 9: {FIRST: 50, SECOND: 50}, 10: {SECOND: 100}}
    for hours, shares in steps.items():
        change = reply.traffic.add()
        change.time.FromDatetime(START + timedelta(hours=hours))
        for version, percent in shares.items():
            change.shares.add(version=version, percent=percent)
    return reply


def _add(
    reply: GetSeriesResponse,
    check: str,
    method: types.Method,
    version: str,
    value: Callable[[int], float],
    threshold: float,
    *,
    column: str = "",
    below: bool = False,
) -> None:
    track = types.TRACK_LABELS if below else types.TRACK_PREDICTIONS
    made = reply.series.add(
        check=check, method=method, version=version, column=column, fails_below=below, track=track, windows=WINDOWS
    )
    for at in range(WINDOWS):
        found = value(at)
        failed = found < threshold if below else found > threshold
        outcome = types.OUTCOME_FAILED if failed else types.OUTCOME_OK
        point = made.points.add(window=at + 1, value=found, threshold=threshold, outcome=outcome, rows=800)
        point.start_time.FromDatetime(START + timedelta(hours=at))
        point.end_time.FromDatetime(START + timedelta(hours=at + 1))
        if below:
            point.low, point.high = found - 0.02, found + 0.02


def distributions(words: Callable[[str], str] = str) -> GetDistributionsResponse:
    window = types.Window(number=12, version=SECOND, rows=800)
    reply = GetDistributionsResponse(window=window, rows_before=5000)
    age = ColumnDistribution(column=words("age"), rows_before=5000, rows_after=800, missing_after=0.05, distance=0.25)
    for lower, upper, before, after in ((18, 30, 0.5, 0.25), (30, 40.25, 0.25, 0.25), (40.25, 64, 0.25, 0.25)):
        age.parts.add(kind=PART_KIND_RANGE, lower=lower, upper=upper, before=before, after=after)
    age.parts.append(PartShares(kind=PART_KIND_RANGE, lower=64, after=0.25))
    children = ColumnDistribution(column=words("children"), rows_before=5000, rows_after=800)
    children.parts.extend(PartShares(kind=PART_KIND_NUMBER, lower=at, before=0.5, after=0.5) for at in range(2))
    country = ColumnDistribution(column=words("country"), categorical=True, rows_before=5000, rows_after=800)
    country.parts.add(kind=PART_KIND_CATEGORY, category=words("DE"), categories=1, before=0.75, after=0.5)
    country.parts.add(kind=PART_KIND_OTHER_CATEGORIES, categories=7, before=0.25, after=0.25)
    country.parts.add(kind=PART_KIND_UNSEEN_CATEGORIES, after=0.25)
    reply.columns.extend([age, children, country])
    return reply
