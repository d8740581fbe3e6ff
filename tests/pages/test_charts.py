"""Charts drawn: as many marks as there is data, where its values say, readable whatever the values are."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelog.pages.drawing import Scale, tick_words, ticks, time_ticks
from modelog.pages.parts import Bars, Chart, Course, Moment, Pair, Point, Run, Span
from modelog.pages.sheet import NoPng, png, sheet
from modelog.pages.svg import chart

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("baseline (10 rows)", "window 3 (10 rows)")
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
DAY = 86400.0


def parsed(one: Chart) -> ET.Element:
    """The chart as XML; every number in it is one, and everything lies within its box."""
    root = ET.fromstring(chart(one, "c1"))
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in ("x", "x1", "x2", "cx"):
                assert -1 <= float(value) <= width + 1, (element.tag, name, value)
            if name in ("y", "y1", "y2", "cy"):
                assert -1 <= float(value) <= height + 1, (element.tag, name, value)
            assert "nan" not in value.split(), (element.tag, name, value)
            assert "inf" not in value.split(), (element.tag, name, value)
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    return root


def of_kind(root: ET.Element, tag: str, kind: str) -> list[ET.Element]:
    return [one for one in root.iter(f"{SVG}{tag}") if kind in one.attrib.get("class", "").split()]


def places(polyline: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in polyline.attrib["points"].split())]


def course(values: Sequence[float | None], **fields: object) -> Course:
    points = [Point(place * DAY, value) for place, value in enumerate(values)]
    told: dict[str, object] = {"runs": [Run("age", points)], "start": 0.0, "end": max(1, len(points) - 1) * DAY}
    return Course("drift", "psi", **(told | fields))  # type: ignore[arg-type]


def test_bars_are_as_high_as_shares_and_as_many() -> None:
    shares = [(0.1, 0.05), (0.4, 0.2), (0.3, 0.75), (0.2, 0.0)]
    pairs = [Pair(f"part {place}", *pair) for place, pair in enumerate(shares)]
    root = parsed(Bars("age", pairs, NAMES, ["0", "1", "2", "3", ""]))
    for kind, side in (("was", 0), ("is", 1)):
        legend, *drawn = of_kind(root, "rect", kind)
        assert legend.attrib["width"] == "11.00"
        assert len(drawn) == len(pairs)
        heights = [float(one.attrib["height"]) for one in drawn]
        scale = heights[1] / shares[1][side]
        assert heights == pytest.approx([pair[side] * scale for pair in shares], abs=0.02)
        lefts = [float(one.attrib["x"]) for one in drawn]
        assert lefts == sorted(lefts)
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert {"0", "1", "2", "3", "above", *NAMES} <= set(words)
    assert "part 2: 30 % before, 75 % after" in (root.findtext(f"{SVG}desc") or "")


def test_bars_with_labels_lie() -> None:
    pairs = [Pair("DE", 0.5, 0.25), Pair("a country of a very long name", 0.25, 0.5)]
    root = parsed(Bars("country", pairs, NAMES))
    widths = [float(one.attrib["width"]) for one in of_kind(root, "rect", "is")[1:]]
    assert widths[1] == pytest.approx(2 * widths[0])
    assert "a country of a very lon…" in [one.text for one in root.iter(f"{SVG}text")]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=130),
    st.booleans(),
)
def test_bars_of_any_shares_are_drawn(shares: list[tuple[float, float]], upright: bool) -> None:
    pairs = [Pair(f"{place}", *pair) for place, pair in enumerate(shares)]
    edges = [f"{place}" for place in range(len(pairs) + 1)] if upright else []
    root = parsed(Bars("x", pairs, NAMES, edges))
    assert len(of_kind(root, "rect", "was")) == (len(pairs) + 1 if pairs else 0)


def test_a_line_goes_where_its_values_go() -> None:
    values = [0.1, 0.3, 0.2, 0.6, 0.05]
    drawn = course(values, limit=[(0.0, 0.25)], from_zero=True)
    root = parsed(drawn)
    (line,) = of_kind(root, "polyline", "run")
    xs, ys = zip(*places(line), strict=True)
    assert list(xs) == sorted(xs)
    assert sorted(range(5), key=lambda place: -ys[place]) == sorted(range(5), key=lambda place: values[place])
    (limit,) = of_kind(root, "polyline", "limit")
    ((_, top), *_) = places(limit)
    assert [y < top for y in ys] == [value > 0.25 for value in values]
    assert len(of_kind(root, "circle", "tint-0")) == len(values)


def test_gaps_failures_intervals_alerts_and_deployments_are_marked() -> None:
    points = [
        Point(0.0, 0.9, 0.85, 0.95),
        Point(DAY, 0.91, 0.86, 0.96),
        Point(2 * DAY, None),
        Point(3 * DAY, 0.7, 0.6, 0.8, bad=True),
        Point(4 * DAY, 0.72, 0.62, 0.82, bad=True),
        Point(5 * DAY, None),
        Point(6 * DAY, 0.9, 0.8, 0.95),
    ]
    spans = [Span("alert 1", 3 * DAY, 4 * DAY), Span("alert 2", 6 * DAY, None)]
    moments = [Moment("fraud/1 100 %", 0.0), Moment("fraud/2 10 %", 2.9 * DAY), Moment("fraud/2 100 %", 3 * DAY)]
    drawn = Course("accuracy", "share", [Run("fraud/1", points)], 0.0, 6 * DAY, [(0.0, 0.8)], spans, moments)
    root = parsed(drawn)
    assert [len(places(one)) for one in of_kind(root, "polyline", "run")] == [2, 2]
    assert len(of_kind(root, "polygon", "band")) == 2
    assert len(of_kind(root, "polygon", "bad")) == 2
    assert len(of_kind(root, "circle", "tint-0")) == 3
    first, second = of_kind(root, "rect", "firing")
    assert float(first.attrib["width"]) == pytest.approx(520 / 6, abs=0.1)
    assert float(second.attrib["width"]) == 2  # It has only begun, and is seen all the same.
    lines = of_kind(root, "line", "deployed")
    assert [float(one.attrib["x1"]) for one in lines] == sorted(float(one.attrib["x1"]) for one in lines)
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert {"alert 1", "alert 2", "fraud/1 100 %", "fraud/2 10 %", "fraud/2 100 %", "fraud/1 0.9"} <= set(words)
    heights = {one.text: one.attrib.get("y") for one in root.iter(f"{SVG}text")}
    assert heights["fraud/2 10 %"] != heights["fraud/2 100 %"]  # They would lie on each other.


@given(
    st.lists(st.lists(st.none() | FLOATS, max_size=30), max_size=7),
    st.lists(FLOATS, max_size=3),
    st.floats(-1e11, 1e13),
    st.floats(0, 1e12),
    st.booleans(),
)
def test_a_course_of_any_values_is_drawn(
    runs: list[list[float | None]], limits: list[float], start: float, wide: float, from_zero: bool
) -> None:
    told = [
        Run(f"r{at}", [Point(start + place, value, value, value) for place, value in enumerate(values)])
        for at, values in enumerate(runs)
    ]
    limit = [(start + place, one) for place, one in enumerate(limits)]
    moments = [Moment("v", start), Moment("w", start + wide)]
    parsed(Course("x", "y", told, start, start + wide, limit, [Span("a", start, None)], moments, from_zero))


@pytest.mark.parametrize("values", [[], [None], [0.5], [math.nan, math.inf], [0.0, 0.0], [1e308, -1e308], [5e-324]])
def test_no_value_one_value_and_what_is_no_number(values: list[float | None]) -> None:
    root = parsed(course(values))
    finite = [one for one in values if one is not None and math.isfinite(one)]
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert ("no values in this time" in words) is (not finite)
    assert len(of_kind(root, "circle", "tint-0")) == len(finite)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_ticks_cover_what_is_shown_and_can_be_told_apart(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    found = ticks(low, high)
    assert found == sorted(set(found)) or low == high
    assert 2 <= len(found) <= 12
    near = 1e-9 * max(abs(low), abs(high))
    assert found[0] <= low + near
    assert found[-1] >= high - near
    assert all(word and "nan" not in word for word in tick_words(found))
    scale = Scale(found[0], found[-1], 100.0, 0.0)
    assert 0 <= scale.at(high) <= scale.at(low) <= 100


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 0.23, ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25"]),
        (0.86, 0.97, ["0.85", "0.90", "0.95", "1.00"]),
        (0, 1234, ["0", "500", "1000", "1500"]),
        (0, 3e9, ["0", "1e9", "2e9", "3e9"]),
        (-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round(low: float, high: float, words: list[str]) -> None:
    assert tick_words(ticks(low, high)) == words


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-03-01T12:00", "2026-03-01T15:00", ["12:00", "12:30", "13:00", "13:30", "14:00", "14:30", "15:00"]),
        ("2026-03-01T21:00", "2026-03-02T06:00", ["22:00", "Mar 2", "02:00", "04:00", "06:00"]),
        ("2026-02-27T00:00", "2026-03-03T00:00", ["Feb 27", "Feb 28", "Mar 1", "Mar 2", "Mar 3"]),
        ("2025-11-15T00:00", "2026-05-15T00:00", ["Dec", "2026", "Feb", "Mar", "Apr", "May"]),
        ("2010-06-01T00:00", "2026-06-01T00:00", ["2015", "2020", "2025"]),
        ("2026-03-01T12:00:00", "2026-03-01T12:00:06", [f"12:00:0{second}" for second in range(7)]),
    ],
)
def test_times_are_round(start: str, end: str, words: list[str]) -> None:
    first, last = (datetime.fromisoformat(one).replace(tzinfo=UTC).timestamp() for one in (start, end))
    assert [word for _, word in time_ticks(first, last)] == words


def test_lines_are_told_apart_without_colour() -> None:
    style = sheet("t", "s", [])
    dashes = [re.search(rf"svg \.hue-{hue}{{[^}}]*dasharray: ([^;]+);", style) for hue in range(1, 6)]
    assert len({one[1] for one in dashes if one}) == 5


def test_a_sheet_stands_alone() -> None:
    drawn = sheet("Monitor <x>", "a & b", [course([0.1, 0.2]), course([None]), Bars("b", [Pair("p", 1, 0)], NAMES)])
    root = ET.fromstring(drawn)
    assert len(root.findall(f"{SVG}svg")) == 3
    assert "prefers-color-scheme:dark" in drawn
    assert "var(" not in drawn
    assert not re.search(r"url\(|@import|href|<script|<image", drawn)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    ids = re.findall(r'id="([^"]+)"', drawn)
    assert len(ids) == len(set(ids))


def test_a_picture_has_letters_and_is_the_same_everywhere() -> None:
    one, other = (png(title, "", [course([0.1, 0.4, 0.2])]) for title in ("Monitor a", "Monitor b"))
    assert one.startswith(b"\x89PNG\r\n\x1a\n")
    assert one != other  # Without a typeface they would be alike.
    assert one == png("Monitor a", "", [course([0.1, 0.4, 0.2])])


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(NoPng, match=r"pip install 'modelog\[png\]'"):
        png("t", "s", [])
