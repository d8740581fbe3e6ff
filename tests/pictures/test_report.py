"""A report of a monitor: all that was answered is on it, nothing is asked of anybody, and names stay names."""

import re
from html.parser import HTMLParser

import pytest

from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.pictures_pb2 import GetDistributionsResponse, GetSeriesResponse
from modelog.pages.parts import Bars, Course, Document, Group, Table
from modelog.pictures import FORMATS, render, report
from tests.pictures.sample import NAME, distributions, series

HOSTILE = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' \u202e\x00"


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, made: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(made.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def charts(document: Document) -> list[Bars | Course]:
    groups = [block for section in document.sections for block in section.blocks if isinstance(block, Group)]
    return [one for group in groups for one in group.charts if isinstance(one, Bars | Course)]


def tables(document: Document) -> dict[str, Table]:
    blocks = [block for section in document.sections for block in section.blocks]
    return {block.title: block for block in blocks if isinstance(block, Table)}


def test_every_chart_has_its_numbers_beside_it() -> None:
    made = report(series(), distributions(), name=NAME)
    assert made.title == "Monitor risk/fraud-eu"
    drawn = {one.title: one for one in charts(made)}
    assert list(drawn) == [
        "right",
        "age: 25 % moved, missing 0 % to 5 %",
        "children: 0 % moved",
        "country: 0 % moved",
        "drift, fraud/1",
    ]
    told = tables(made)
    drift = drawn["drift, fraud/1"]
    assert isinstance(drift, Course)
    assert [run.label for run in drift.runs] == ["age", "income"]
    assert [len(run.points) for run in drift.runs] == [12, 12]
    assert sum(point.bad for run in drift.runs for point in run.points) == 12
    assert len(told["Numbers of drift, fraud/1"].rows) == 24
    assert told["Numbers of right"].rows[0] == [
        "12", "2026-03-01 12:00 UTC", "fraud/1", "0.84", "0.82 to 0.86", "0.9", "failed", "800"
    ]  # fmt: skip
    assert told["Numbers of age"].rows[-1] == ["above 64", "0 %", "25 %", "+25.0"]
    page = Elements(render(made, "html"))
    assert len([tag for tag, _ in page.found if tag == "svg"]) == len(drawn)
    assert [tag for tag, _ in page.found].count("desc") == [tag for tag, _ in page.found].count("title") - 1 == 5


def test_alerts_and_deployments_are_where_they_were() -> None:
    right, *_, drift = charts(report(series(), distributions(), name=NAME))
    assert isinstance(right, Course)
    assert isinstance(drift, Course)
    assert [(one.label, one.end is None) for one in drift.spans] == [("alert 1", True)]
    assert [one.label for one in right.spans] == ["alert 2 (fraud/1)"]
    assert [one.label for one in right.moments] == ["fraud/1 100 %", "fraud/2 10 %", "fraud/2 100 %"]
    assert [one.at for one in right.moments] == sorted(one.at for one in right.moments)
    assert list(right.limit) == [(right.start + 3600, 0.9)]
    assert not right.from_zero
    assert drift.from_zero


def test_a_changed_threshold_is_drawn_from_its_window_on() -> None:
    reply = series()
    for point in reply.series[0].points[6:]:
        point.threshold = 0.2
    del reply.series[1:]
    (drift,) = charts(report(reply, name=NAME))
    assert isinstance(drift, Course)
    assert [limit for _, limit in drift.limit] == [0.1, 0.2]


def test_what_stands_below_bars() -> None:
    _, age, children, country, _ = charts(report(series(), distributions(), name=NAME))
    assert isinstance(age, Bars)
    assert isinstance(children, Bars)
    assert isinstance(country, Bars)
    assert list(age.edges) == ["18", "30", "40.2", "64", ""]
    assert list(children.edges) == ["0", "1"]
    assert list(country.edges) == []
    assert [one.label for one in country.pairs] == ["DE", "7 others", "not in the baseline"]
    assert age.names == ("baseline (5\u202f000 rows)", "window 12 (800 rows)")


def test_a_report_asks_for_nothing_and_runs_nothing() -> None:
    made = render(report(series(), distributions(), name=NAME), "html")
    page = Elements(made)
    assert not {"script", "img", "link", "iframe", "object", "image", "use"} & {tag for tag, _ in page.found}
    for tag, attributes in page.found:
        assert not set(attributes) & {"src", "srcset", "action", "style", "xlink:href"}, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert b"url(" not in made
    assert b"@import" not in made
    policy = next(one for tag, one in page.found if tag == "meta" and "http-equiv" in one)
    assert (policy["content"] or "").startswith("default-src 'none'")
    assert b"prefers-color-scheme: dark" in made


@pytest.mark.parametrize("name", ["html", "svg"])
def test_hostile_names_add_nothing(name: str) -> None:
    def made(words: str) -> Elements:
        replies = series(lambda one: one + words), distributions(lambda one: one + words)
        return Elements(render(report(*replies, name=NAME), name))

    harmless, hostile = made(" x"), made(HOSTILE)
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in harmless.found]
    assert [sorted(one) for _, one in hostile.found] == [sorted(one) for _, one in harmless.found]
    assert "\u202e" not in hostile.text


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_to_show_is_said_in_every_format(name: str) -> None:
    empty = report(GetSeriesResponse(), name=NAME)
    assert render(empty, name)
    assert render(empty, name) == render(empty, name)
    assert "nothing to show" in empty.summary


@pytest.mark.parametrize("name", FORMATS)
def test_one_window_without_a_value_is_drawn(name: str) -> None:
    reply = series()
    del reply.series[1:]
    one = reply.series[0]
    del one.points[1:]
    one.points[0].ClearField("value")
    one.points[0].outcome = types.OUTCOME_NO_DATA
    assert render(report(reply, name=NAME), name)


def test_what_cannot_be_drawn_is_said() -> None:
    gone = GetDistributionsResponse(window=types.Window(number=3), expired_profiles=["ab" * 32])
    page = Elements(render(report(series(), gone, name=NAME), "html"))
    assert "no longer kept" in page.text
    assert "abababababab" in page.text
    bare = GetDistributionsResponse(window=types.Window(number=3), without_baseline=True, more_columns=4)
    bare.unknown_columns.append("nothing")
    text = Elements(render(report(series(), bare, name=NAME), "html")).text
    assert "Capture a baseline" in text
    assert "4 columns" in text
    assert "nothing" in text
    reply = series()
    reply.reaches_back_to.FromSeconds(1772323200)
    reply.series[0].windows = 9000
    summary = report(reply, name=NAME).summary
    assert re.search(r"before 2026-03-01 00:00 UTC are left out", summary)
    assert "more windows than can be seen" in summary


def test_of_many_columns_those_that_failed_most_are_drawn() -> None:
    reply = GetSeriesResponse()
    for place in range(9):
        one = reply.series.add(check="drift", method=types.METHOD_PSI, column=f"c{place}", windows=1)
        failed = place in (3, 7)
        one.points.add(window=1, value=place, outcome=types.OUTCOME_FAILED if failed else types.OUTCOME_OK)
    (drift,) = charts(report(reply))
    assert isinstance(drift, Course)
    assert [run.label for run in drift.runs] == ["c7", "c3", "c8", "c6", "c5", "c4"]
    assert drift.title == "drift (6 of 9 columns)"


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'pdf' is none of html, svg, png"):
        render(report(series()), "pdf")
