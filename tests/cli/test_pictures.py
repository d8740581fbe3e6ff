"""Pictures of a monitor that watched a version go wrong and another take over, from the command line."""

import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from modelog.cli.failures import NOT_FOUND, USAGE
from modelog.cli.pictures import sparkline
from modelog.monitoring.v1.pictures_pb2 import MetricSeries, SeriesPoint
from tests.cli.line import CommandLine

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def monitor(line: CommandLine, project: str) -> str:
    """A monitor of a model with a window like its baseline and one that drifted."""
    signature = line.file("signature.json", {"inputs": [{"name": "age", "type": "DATA_TYPE_FLOAT64"}]})
    line("versions", "register", f"{project}/fraud", line.file("model.onnx", "weights"), "--signature", f"@{signature}")
    checks = ("--window-rows", "200", "--check", "psi=0.2", "--check", "volume=5")
    line("monitors", "create", project, "batch", f"projects/{project}/models/fraud", *checks)
    rows = [row % 50 for row in range(1_000)]
    line("monitors", "baseline", f"{project}/batch", line.file("base.csv", "age\n" + "\n".join(map(str, rows))))
    shifted = [*rows[:200], *(row + 30 for row in rows[:200])]
    scored = line.file("scored.csv", "age,label\n" + "\n".join(f"{age},1" for age in shifted))
    logged = ("--version", f"{project}/fraud/1", "--monitor", f"{project}/batch", "--output", "label")
    line("monitors", "log", scored, *logged)
    deadline = time.monotonic() + 20
    while len(line.json("monitors", "windows", f"{project}/batch", "--check", "volume")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return f"{project}/batch"


def drawn(path: Path, kind: str) -> list[Any]:
    found = ET.fromstring(path.read_text()).iter()
    return [one for one in found if kind in one.attrib.get("class", "").split()]


def test_a_monitor_is_drawn_in_every_format(line: CommandLine, monitor: str) -> None:
    told = line.json("monitors", "picture", monitor, "--out", "report.html")
    assert (told["windows"], told["distributionsOf"], told["expiredProfiles"]) == (2, "2", [])
    page = (line.folder / "report.html").read_text()
    assert "Distributions: window 2 beside the baseline" in page
    assert "alert 1" in page
    assert "<script" not in page
    assert "2 windows, 1 alerts" in line("monitors", "picture", monitor, "--out", "plot.svg").out
    assert len(drawn(line.folder / "plot.svg", "run")) >= 2
    line("monitors", "picture", monitor, "--out", "plot.png")
    assert (line.folder / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_drawn_can_be_chosen(line: CommandLine, monitor: str) -> None:
    chosen = ("--check", "psi", "--column", "age", "--bins", "5", "--out", "one.svg")
    line("monitors", "picture", monitor, *chosen, "--window", "1")
    _, *bars = drawn(line.folder / "one.svg", "is")
    assert 3 <= len(bars) <= 5
    line("monitors", "picture", monitor, *chosen, "--alert", "1")
    assert len(drawn(line.folder / "one.svg", "is")) == 1 + len(bars) + 1  # And what lies above the baseline.
    nothing = line("monitors", "picture", monitor, "--since", "2999-01-01", "--out", "none.svg").out
    assert "0 windows" in nothing


def test_series_are_lines_in_a_terminal(line: CommandLine, monitor: str) -> None:
    out = line("monitors", "picture", monitor).out
    assert [row.split()[0] for row in out.splitlines()[1:]] == ["psi", "volume"]
    assert "▁█" in out
    assert "above 0.2" in out
    found = line.json("monitors", "picture", monitor, "--check", "psi")
    (series,) = found["series"]
    assert [point["outcome"] for point in series["points"]] == ["OUTCOME_OK", "OUTCOME_FAILED"]


def test_distributions_are_told_part_by_part(line: CommandLine, monitor: str) -> None:
    chosen = ("monitors", "distributions", monitor, "--window", "2", "--column", "age")
    (age,) = line.json(*chosen, "--bins", "5")["columns"]
    out = line(*chosen, "--bins", "5").out
    assert len(out.splitlines()) == 2 + len(age["parts"])
    assert "above 49" in out
    assert "█" in out
    assert "which window" in line("monitors", "distributions", monitor, expect=USAGE).err


def test_what_cannot_be_drawn_is_said_first(line: CommandLine, monitor: str) -> None:
    assert ".png" in line("monitors", "picture", monitor, "--out", "plot.pdf", expect=USAGE).err
    both = ("--window", "1", "--alert", "1", "--out", "plot.svg")
    assert "not both" in line("monitors", "picture", monitor, *both, expect=USAGE).err
    gone = line("monitors", "picture", monitor, "--window", "9", "--out", "plot.svg", expect=NOT_FOUND).err
    assert "no window 9" in gone
    assert not (line.folder / "plot.pdf").exists()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([3.0], "▁"),
        ([None, 1.0, None, 2.0], " ▁ █"),
        ([], ""),
        ([1e308, -1e308], "█▁"),
    ],
)
def test_a_sparkline_goes_where_its_values_go(values: list[float | None], shown: str) -> None:
    assert sparkline(MetricSeries(points=[SeriesPoint(value=one) for one in values])) == shown
