"""What pictures are drawn from: shares of parts that are exact, series that keep their ends and extremes; and both
asked of a running service, now and as of then."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelog.monitoring.v1 import pictures_pb2 as pictures
from modelog.monitoring.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.monitoring.exact import Floats
from services.monitoring.pictures import cuts_of, distribution, thinned
from tests.monitoring.build import (
    ENDPOINT,
    MONITOR,
    NEXT_VERSION,
    START,
    VERSION,
    batch,
    check,
    compared,
    numbers,
    texts,
)
from tests.monitoring.station import Station, eventually

RANDOM = np.random.default_rng(41)
Told = pictures.ColumnDistribution
NORMAL = RANDOM.normal(40, 10, 5_000)


def told(before: Sequence[float] | Floats, after: Sequence[float] | Floats, bins: int = 20) -> Told:
    baseline, window = compared(numbers("x", before), numbers("x", after))
    return distribution(window.columns[0], baseline.columns[0], bins, 12)


def test_shares_of_numbers_are_those_of_the_rows() -> None:
    after = NORMAL[:1_000] + 7
    found = told(NORMAL, after)
    assert 12 <= len(found.parts) <= 22
    for part in found.parts:
        lower = part.lower if part.HasField("lower") else -np.inf
        upper = part.upper if part.HasField("upper") else np.inf
        assert part.kind == pictures.PART_KIND_RANGE
        assert part.before == pytest.approx(np.mean((lower <= NORMAL) & (upper > NORMAL)), abs=1e-12)
        assert part.after == pytest.approx(np.mean((after >= lower) & (after < upper)), abs=1e-12)
    assert found.distance == pytest.approx(sum(abs(one.after - one.before) for one in found.parts) / 2)
    # The shape can be seen: parts near the middle hold more than those at the ends, and are about as wide.
    inner = [one for one in found.parts if one.HasField("lower") and one.HasField("upper")][1:-1]
    assert max(one.before for one in inner) > 4 * inner[0].before
    widths = [one.upper - one.lower for one in inner]
    assert max(widths) < 3 * min(widths)


def test_few_numbers_are_told_one_by_one() -> None:
    found = told([0, 1, 1, 2] * 50, [1, 2, 2, 2, 5])
    assert [(one.kind, one.lower) for one in found.parts[:3]] == [
        (pictures.PART_KIND_NUMBER, value) for value in (0, 1, 2)
    ]
    assert [one.after for one in found.parts] == [0.0, 0.2, 0.6, 0.2]
    assert not found.parts[3].HasField("upper")


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=80),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=80),
    st.integers(1, 40),
)
def test_parts_of_whatever_numbers_hold_them_all(before: list[float], after: list[float], bins: int) -> None:
    found = told(before, after, bins)
    finite = [np.isfinite(side) for side in (before, after)]
    assert found.missing_after == pytest.approx(np.mean(np.isnan(after)))
    assert found.invalid_before == pytest.approx(np.mean(np.isinf(before)))
    if found.parts:
        assert sum(one.before for one in found.parts) == pytest.approx(1.0 if finite[0].any() else 0.0)
        assert sum(one.after for one in found.parts) == pytest.approx(1.0 if finite[1].any() else 0.0)
        edges = [one.lower for one in found.parts if one.HasField("lower")]
        assert edges == sorted(edges)
    assert 0 <= found.distance <= 1


def test_cuts_lie_on_edges_and_are_as_many_as_asked_at_most() -> None:
    edges = np.concatenate([[-1e308], np.linspace(0, 1, 253), [1e308]])
    cuts = cuts_of(edges, np.ones(len(edges) - 1, dtype=np.int64), 20)
    assert len(cuts) > 10
    assert cuts == sorted(set(cuts))


def test_categories_beyond_the_most_frequent_are_one_part() -> None:
    before = texts("country", ["DE"] * 50 + ["FR"] * 30 + ["IT"] * 15 + ["ES"] * 5)
    baseline, window = compared(before, texts("country", ["DE"] * 2 + ["XX"] * 6 + ["ES"] * 1 + [""] * 1))
    found = distribution(window.columns[0], baseline.columns[0], 20, 2)
    assert [(one.kind, one.category) for one in found.parts[:2]] == [
        (pictures.PART_KIND_CATEGORY, "DE"),
        (pictures.PART_KIND_CATEGORY, "FR"),
    ]
    assert [one.kind for one in found.parts[2:]] == [
        pictures.PART_KIND_OTHER_CATEGORIES,
        pictures.PART_KIND_UNSEEN_CATEGORIES,
    ]
    assert found.parts[2].categories == 2
    assert [one.before for one in found.parts] == pytest.approx([0.5, 0.3, 0.2, 0.0])
    assert [one.after for one in found.parts] == pytest.approx([2 / 9, 0.0, 1 / 9, 6 / 9])
    assert found.missing_after == pytest.approx(0.1)


@given(st.lists(st.none() | st.floats(allow_nan=False), max_size=200), st.integers(1, 40))
def test_what_is_thinned_keeps_its_ends_and_extremes(values: list[float | None], most: int) -> None:
    points = [pictures.SeriesPoint(window=at, value=value) for at, value in enumerate(values)]
    kept = thinned(points, most)
    assert len(kept) == min(len(points), len(kept)) <= max(most, 1)
    numbers = [one.window for one in kept]
    assert numbers == sorted(set(numbers))
    if len(points) <= most:
        assert kept == points
    elif most >= 4:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        there = [value for value in values if value is not None]
        if there:
            shown = [one.value for one in kept if one.HasField("value")]
            assert (min(shown), max(shown)) == (min(there), max(there))


async def watched(live: Station) -> None:
    """A monitor with a window that is the baseline's, one that drifted, one that is well again."""
    await live.create(
        check(types.METHOD_PSI, 0.2, minimum_rows=50),
        check(types.METHOD_VOLUME, 1, id="rows"),
        window=types.WindowSpec(size_rows=500),
    )
    await live.baseline(NORMAL, [1.0] * len(NORMAL))
    for place, moved in enumerate((0, 30, 0)):
        at = START + timedelta(hours=place)
        await live.send(batch(f"b{place}", NORMAL[500 * place : 500 * (place + 1)] + moved, at=at))
        await live.monitor(lambda monitor, wanted=place + 1: monitor.windows == wanted)  # type: ignore[misc]


async def test_series_tell_values_episodes_and_traffic(live: Station) -> None:
    await watched(live)
    await live.serve(VERSION, NEXT_VERSION)

    async def closed() -> pictures.GetSeriesResponse | None:
        reply: pictures.GetSeriesResponse = await live.call("GetSeries", name=MONITOR)
        return reply if reply.episodes and reply.episodes[0].close_window else None

    reply = await eventually(closed)
    assert reply.endpoint == ENDPOINT
    drift = next(one for one in reply.series if one.check == "drift" and one.column == "age")
    assert [one.window for one in drift.points] == [1, 2, 3]
    assert [one.outcome for one in drift.points] == [types.OUTCOME_OK, types.OUTCOME_FAILED, types.OUTCOME_OK]
    assert drift.points[1].value > 0.2 == drift.points[1].threshold > drift.points[0].value
    assert not drift.fails_below
    assert next(one for one in reply.series if one.check == "rows").fails_below
    (episode,) = reply.episodes
    assert (episode.number, episode.check, episode.version) == (1, "drift", VERSION)
    assert (episode.open_window, episode.close_window) == (2, 3)
    assert episode.open_time == drift.points[1].end_time
    assert episode.close_time == drift.points[2].end_time
    shares = [[(one.version, one.percent) for one in change.shares] for change in reply.traffic]
    assert shares == [[(VERSION, 100)], [(VERSION, 50), (NEXT_VERSION, 50)]]

    few = await live.call("GetSeries", name=MONITOR, checks=["drift"], columns=["age"], most_points=2)
    (only,) = few.series
    assert (len(only.points), only.windows) == (2, 3)
    until = START + timedelta(minutes=90)
    early = await live.call("GetSeries", name=MONITOR, checks=["drift"], columns=["age"], end_time=until)
    assert [one.window for one in early.series[0].points] == [1, 2]
    none = await live.call("GetSeries", name=MONITOR, segment="country=DE")
    assert not none.series
    assert not none.episodes


async def test_series_are_told_as_of_then(live: Station) -> None:
    await watched(live)
    points = (await live.call("ListWindows", parent=MONITOR, check="drift", column="age")).points
    second = next(one.revision for one in points if one.window == 2)
    then = await live.call("GetSeries", name=MONITOR, checks=["drift"], read=ReadOptions(as_of_revision=second))
    (episode,) = then.episodes
    assert episode.close_window == 0
    assert not episode.HasField("close_time")
    assert max(one.window for one in then.series[0].points) == 2
    assert (await live.refused("GetSeries", name=f"{MONITOR}-x"))[1] == "MONITOR_NOT_FOUND"


async def test_an_alert_taken_back_by_hand_or_with_its_version_has_an_end(live: Station) -> None:
    await live.create(check(types.METHOD_PSI, 0.2), window=types.WindowSpec(size_rows=500))
    await live.baseline(NORMAL, [1.0] * len(NORMAL))
    before = datetime.now(UTC)
    await live.send(batch("b", NORMAL[:500] + 30))

    async def raised() -> bool:
        return bool((await live.call("ListAlerts", parent=MONITOR)).alerts)

    await eventually(raised)
    await live.call("ResolveAlert", name=f"{MONITOR}/alerts/1")

    async def ended() -> pictures.AlertEpisode | None:
        (episode,) = (await live.call("GetSeries", name=MONITOR)).episodes
        return episode if episode.HasField("close_time") else None

    episode = await eventually(ended)
    assert episode.close_window == 0
    assert episode.close_time.ToDatetime(tzinfo=UTC) >= before


async def test_distributions_are_told_by_window_and_by_alert(live: Station) -> None:
    await watched(live)
    by_alert = await live.call("GetDistributions", name=MONITOR, alert=1, columns=["age", "nothing"])
    by_window = await live.call("GetDistributions", name=MONITOR, window=2)
    assert by_alert.window.number == by_window.window.number == 2
    assert by_alert.unknown_columns == ["nothing"]
    (age,) = by_alert.columns
    assert [one.column for one in by_window.columns] == ["age", "label"]
    assert by_window.columns[0] == age
    assert by_window.rows_before == age.rows_before == len(NORMAL)
    assert age.rows_after == 500
    assert age.distance > 0.5
    moved = NORMAL[500:1000] + 30
    above = age.parts[-1]
    assert above.after == pytest.approx(np.mean(moved >= above.lower))
    fewer = await live.call("GetDistributions", name=MONITOR, window=2, most_columns=1)
    assert [one.column for one in fewer.columns] == ["age"]
    assert fewer.more_columns == 1
    assert (await live.refused("GetDistributions", name=MONITOR, window=9))[1] == "WINDOW_NOT_FOUND"
    assert (await live.refused("GetDistributions", name=MONITOR, alert=9))[1] == "ALERT_NOT_FOUND"
    assert (await live.refused("GetDistributions", name=MONITOR))[0] == "INVALID_ARGUMENT"


async def test_what_is_no_longer_kept_or_never_was_is_said(live: Station) -> None:
    await live.create(check(types.METHOD_MISSING_SHARE, 0.5, failing_columns=1), window=types.WindowSpec(size_rows=100))
    await live.send(batch("b", [1.0, float("nan")] * 50))
    await live.monitor(lambda monitor: monitor.windows == 1)
    bare = await live.call("GetDistributions", name=MONITOR, window=1, columns=["age"])
    assert bare.without_baseline
    assert bare.columns[0].missing_after == 0.5
    assert not bare.columns[0].parts
    await live.live.rooms.kept.execute("delete from profile")
    gone = await live.call("GetDistributions", name=MONITOR, window=1)
    assert gone.expired_profiles == [bare.window.profile_digest]
    assert not gone.columns
