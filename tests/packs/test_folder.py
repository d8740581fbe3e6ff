"""Packs as files: the same content makes the same bytes, pages are read without scripts, tables run nothing."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from modelog.packs.folder import files_of
from modelog.packs.listing import listed
from modelog.packs.page import page
from modelog.packs.parts import Chapter, Sheet
from modelog.packs.saying import HEAD, told
from modelog.pages.parts import Mark, Marks
from modelog.pages.svg import chart
from modelog.registry.v1 import events_pb2 as registry
from modelog.sdk.facts import Entry
from tests.packs.ground import ABOUT_THE_MODEL, ENTRIES, SIGNING, content, evidence

VOID = frozenset("meta br link hr img".split())


class Nesting(HTMLParser):
    """Fails where an element ends that did not begin last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_same_content_makes_the_same_bytes() -> None:
    first, again = (files_of(content(), evidence(), SIGNING) for _ in range(2))
    assert first == again
    assert list(first) == list(again)


def test_every_file_but_its_own_two_is_in_the_manifest() -> None:
    files = files_of(content(), evidence(), SIGNING)
    manifest = json.loads(files["manifest.json"])
    assert set(manifest["files"]) == set(files) - {"manifest.json", "manifest.dsse"}
    assert manifest["facts"] == ABOUT_THE_MODEL
    assert manifest["selection"]["names"] == ["projects/risk/models/fraud"]
    lines = files["facts.jsonl"].decode().splitlines()
    assert [json.loads(one)["revision"] for one in lines] == list(map(str, ABOUT_THE_MODEL))


def test_a_page_is_well_formed_and_needs_nothing_beside_it() -> None:
    made = page(content(), evidence())
    nesting = Nesting()
    nesting.feed(made)
    assert nesting.open == []
    assert not nesting.seen & {"script", "iframe", "img", "link", "form"}
    assert not re.search(r"\b(src|href)=\"(?!#)", made)
    assert "TrafficShifted" in made
    assert "for a reason" in made


def test_what_people_wrote_is_text_on_a_page() -> None:
    evil = Sheet("evil", "<b>bold</b>", ("a",), [["<script>alert(1)</script>"], ["x\u202ey"]])
    made = page(content(chapters=[Chapter("<i>", "<u>under</u>", sheets=[evil])]), evidence())
    assert "<script>" not in made
    assert "<u>" not in made
    assert "\u202e" not in made


def test_tables_of_a_page_are_short_and_the_data_whole() -> None:
    rows = [[f"projects/risk/models/m{number}", "", "2026-03-01T12:00:00.123456Z", "ab" * 32] for number in range(700)]
    sheet = Sheet("many", "", ("model", "nothing", "time", "sha256"), rows)
    files = files_of(content(chapters=[Chapter("Many", sheets=[sheet])]), evidence(), SIGNING)
    made = files["index.html"].decode()
    assert "The first 500 of 700 lines" in made
    assert "<summary>700 lines</summary>" in made
    assert "risk/m499" in made
    assert "risk/m500" not in made
    assert ">nothing<" not in made
    assert ">2026-03-01 12:00:00<" in made
    assert "ab" * 32 not in made
    told_whole = json.loads(files["data/many.json"])
    assert [list(one.values()) for one in told_whole] == [
        [row[0], row[1], row[3], row[2]] for row in rows
    ]  # Keys in order.
    assert list(csv.reader(io.StringIO(files["data/many.csv"].decode())))[1:] == rows


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@cmd", "'@cmd"),
        ("+x", "'+x"),
        ("-1.5", "-1.5"),
        ("-x", "'-x"),
        ("\tx", "'\tx"),
        ("a,b", "a,b"),
    ],
)
def test_a_spreadsheet_runs_nothing_of_a_table(text: str, cell: str) -> None:
    sheet = Sheet("evil", "", ("a",), [[text]])
    files = files_of(content(chapters=[Chapter("Evil", sheets=[sheet])]), evidence(), SIGNING)
    assert list(csv.reader(io.StringIO(files["data/evil.csv"].decode())))[1] == [cell]
    assert json.loads(files["data/evil.json"]) == [{"a": text}]


def test_a_fact_nobody_can_read_keeps_its_place() -> None:
    sheet = listed("timeline", "", [Entry(7, "modelog.registry", b"\xff\xff"), ENTRIES[1]])
    assert sheet.rows[0] == ["7", "", "", "modelog.registry", "unreadable", "", "", "", ""]
    assert dict(zip(HEAD, sheet.rows[1], strict=True))["fact"] == "ModelCreated"


def test_a_fact_is_told_in_a_line_that_is_cut() -> None:
    assert told(registry.TagSet(key="team", value="risk")) == "key: team, value: risk"
    long = told(registry.TagSet(key="team", value="x" * 1000))
    assert len(long) == 240
    assert long.endswith("…")


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [0.0], [3.0, 3.0], [-2.0]])
@pytest.mark.parametrize("from_zero", [True, False])
def test_marks_that_are_all_alike_are_drawn(values: list[float], from_zero: bool) -> None:
    marks = [Mark(f"v{place}", value) for place, value in enumerate(values)]
    drawn = chart(Marks("Counts", marks, from_zero=from_zero), "c1")
    assert drawn.count("<circle") == len(values)
    assert "nan" not in drawn


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no chromium here, so nobody looked at the page in a browser")
    (tmp_path / "index.html").write_text(page(content(), evidence()), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = tmp_path / "page.png"
    subprocess.run(
        [*command, "--virtual-time-budget=2000", f"--screenshot={shown}", f"file://{tmp_path / 'index.html'}"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert shown.read_bytes().startswith(b"\x89PNG")
    assert shown.stat().st_size > 10_000
