"""The door of pictures: what is drawn of a window, and of a time."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from kernel.rpc import Context
from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import queries
from services.monitoring.domain import MONITOR
from services.monitoring.methods import METHODS, track_of
from services.monitoring.pictures import BINS, MOST_CATEGORIES, MOST_COLUMNS, MOST_POINTS, distribution, thinned
from services.monitoring.servicer.room import Room
from services.monitoring.servicer.windows import as_of
from services.monitoring.telemetry import queries as stored

_MOST_READ = 10_000  # Points, of all series together.
_CONCLUSIVE = (types.OUTCOME_OK, types.OUTCOME_FAILED)


class Pictures(Room):
    async def GetDistributions(
        self, request: pictures.GetDistributionsRequest, context: Context
    ) -> pictures.GetDistributionsResponse:
        MONITOR.pattern.ids(request.name)
        await self._resources.settle(request.read)
        seen = as_of(request.read)
        number = request.window or await queries.alert_window(self._pool, request.name, request.alert, seen)
        revision, fact = await queries.evaluated_window(self._pool, request.name, number, seen)
        reply = pictures.GetDistributionsResponse(window=fact.window, revision=revision)
        digests = [one for one in (fact.window.profile_digest, fact.window.baseline_digest) if one]
        kept = await stored.load_profiles(self._kept, digests)
        reply.expired_profiles.extend(one for one in digests if one not in kept)
        reply.without_baseline = not fact.window.baseline_digest
        if not reply.expired_profiles:
            _fill(reply, request, kept)
        return reply

    async def GetSeries(self, request: pictures.GetSeriesRequest, context: Context) -> pictures.GetSeriesResponse:
        MONITOR.pattern.ids(request.name)
        monitor = types.Monitor.FromString(await self._resources.get(MONITOR, request.name, request.read))
        seen = as_of(request.read)
        points = await queries.newest_points(self._pool, request, seen, _MOST_READ + 1)
        reply = pictures.GetSeriesResponse(endpoint=monitor.endpoint)
        if len(points) > _MOST_READ:
            # Of the oldest window not all may have been read.
            points = [one for one in points if one.end_time != points[-1].end_time]
            if points:
                reply.reaches_back_to.CopyFrom(points[-1].end_time)
        reply.series.extend(_series(points, monitor.checks, request.most_points or MOST_POINTS))
        reply.episodes.extend(await queries.episodes(self._pool, request, seen))
        reply.traffic.extend(await queries.traffic(self._pool, monitor.endpoint, request, seen))
        return reply


def _fill(
    reply: pictures.GetDistributionsResponse, request: pictures.GetDistributionsRequest, kept: Mapping[str, bytes]
) -> None:
    """Writes the columns asked for, or those that changed most."""
    after = types.ProfileSet.FromString(kept[reply.window.profile_digest])
    before = types.ProfileSet.FromString(kept.get(reply.window.baseline_digest, b""))
    reply.rows_before = before.rows
    known = {(one.role, one.name): one for one in before.columns}
    draw = partial(distribution, bins=request.bins or BINS, most=request.most_categories or MOST_CATEGORIES)
    told = [draw(one, known.get((one.role, one.name))) for one in after.columns]
    if request.columns:
        reply.columns.extend(one for name in request.columns for one in told if one.column == name)
        reply.unknown_columns.extend(sorted(set(request.columns) - {one.column for one in told}))
        return
    told.sort(key=lambda one: -max(one.distance, one.missing_after - one.missing_before))
    most = request.most_columns or MOST_COLUMNS
    reply.columns.extend(told[:most])
    reply.more_columns = max(0, len(told) - most)


def _series(
    points: Iterable[types.MetricPoint], checks: Iterable[types.Check], most: int
) -> Iterable[pictures.MetricSeries]:
    """Points, newest first, by what they are of."""
    tracks = {check.id: track_of(check) for check in checks}
    grouped: dict[tuple[str, types.Method, str, str], list[types.MetricPoint]] = {}
    for point in points:
        grouped.setdefault((point.check, point.method, point.column, point.version), []).append(point)
    for (check, method, column, version), newest_first in sorted(grouped.items()):
        first = next((one for one in newest_first if one.HasField("interval")), newest_first[0])
        yield pictures.MetricSeries(
            check=check,
            method=method,
            column=column,
            version=version,
            segment=first.segment,
            track=tracks.get(check, METHODS[method].track),
            fails_below=METHODS[method].low_is_bad,
            interval_method=first.interval.method,
            interval_level=first.interval.level,
            points=thinned(_oldest_first(newest_first), most),
            windows=len(newest_first),
        )


def _oldest_first(points: Sequence[types.MetricPoint]) -> list[pictures.SeriesPoint]:
    return [_point(one) for one in reversed(points)]


def _point(one: types.MetricPoint) -> pictures.SeriesPoint:
    told = pictures.SeriesPoint(
        window=one.window,
        start_time=one.start_time,
        end_time=one.end_time,
        threshold=one.threshold,
        outcome=one.outcome,
        rows=one.rows,
        error_bound=one.error_bound,
    )
    if one.outcome in _CONCLUSIVE:
        told.value = one.value
        if one.HasField("interval"):
            told.low, told.high = one.interval.low, one.interval.high
    return told
