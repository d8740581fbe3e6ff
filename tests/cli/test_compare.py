"""`modelog versions compare` against a running registry, and its picture without one."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.cli.chart import html, svg
from modelog.cli.failures import USAGE
from modelog.registry.v1.registry_service_pb2 import CompareVersionsResponse, MetricComparison, MetricValue
from tests.cli.line import CommandLine

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def both(line: CommandLine, project: str) -> tuple[str, str]:
    """Two versions, the second better in one metric and worse in another."""
    model, file = f"{project}/fraud", line.file("m.onnx", "weights")
    for number, (auc, loss) in enumerate(((0.8, 0.2), (0.9, 0.3)), 1):
        line.file("signature.json", {"inputs": [{"name": f"x{number}", "type": "DATA_TYPE_FLOAT64"}]})
        line("versions", "register", model, file, "--param", f"depth={number}", "--signature", "@signature.json")
        line("versions", "evaluate", f"{model}/{number}", "holdout", "--metric", f"auc={auc}", "--loss", f"loss={loss}")
    return f"{model}/1", f"{model}/2"


def test_versions_stand_side_by_side_section_by_section(line: CommandLine, both: tuple[str, str]) -> None:
    told = line("versions", "compare", *both, "--facts").out
    assert [one for one in ("Schema", "Hyperparameters", "Evaluations") if one in told.splitlines()] == [
        "Schema", "Hyperparameters", "Evaluations",
    ]  # fmt: skip
    rows = [row.split() for row in told.splitlines()]
    assert ["inputs.x1", "FLOAT64", "-"] in rows
    assert ["evaluations.holdout.metrics.auc", "0.8", "0.9", "best", "(+0.1,", "+12.5%", "better)"] in rows
    assert ["evaluations.holdout.metrics.loss", "0.2", "best", "0.3", "(+0.1,", "+50.0%", "worse)"] in rows
    assert [row[4] for row in rows if row[-2:-1] and row[0].isdecimal()].count("VersionRegistered") == 2
    assert "artifact.sha256" not in told
    assert "artifact.sha256" in line("versions", "compare", *both, "--all").out
    assert line("versions", "compare", *both, "--include-equal").out == line("versions", "compare", *both, "--all").out
    facts = line.json("versions", "compare", *both, "--facts")["facts"]
    assert facts[0]["event"] == "modelog.registry.v1.VersionRegistered"


def test_the_picture_is_written_where_it_is_asked_for(line: CommandLine, both: tuple[str, str]) -> None:
    for name in ("out.svg", "out.html"):
        line("versions", "compare", *both, "--chart", name)
    root = ET.fromstring((line.folder / "out.svg").read_text())
    assert len(root.findall(f"{SVG}rect")) == 1 + 4
    page = (line.folder / "out.html").read_text()
    assert page.count("<svg") == 1
    assert "<td>hyperparameters.depth</td>" in page
    assert "ends in none of" in line("versions", "compare", *both, "--chart", "out.png", expect=USAGE).err


def reply(*values: float | None, path: str = "m", name: str = "v") -> CompareVersionsResponse:
    names = [f"{name}{number}" for number in range(len(values))]
    found = [MetricValue() if value is None else MetricValue(value=value) for value in values]
    metric = MetricComparison(path=path, values=found, higher_is_better=True, direction_agreed=True, best=names[:1])
    return CompareVersionsResponse(names=names, metrics=[metric])


def test_bars_begin_at_zero_and_are_as_long_as_their_values() -> None:
    root = ET.fromstring(svg(reply(1.0, 0.5, None, -1.0)))
    bars = [(float(one.attrib["x"]), float(one.attrib["width"])) for one in root.findall(f"{SVG}rect")[1:]]
    assert bars == [(415.0, 205.0), (415.0, 102.5), (210.0, 205.0)]
    texts = [one.text or (one[0].tail if len(one) else "") for one in root.findall(f"{SVG}text")]
    assert {"1 best", "0.5", "none", "-1"} <= set(texts)


def test_without_metrics_there_is_a_picture_that_says_so() -> None:
    assert "no metric differs" in svg(CompareVersionsResponse(names=["a", "b"]))
    assert "no metric differs" in svg(reply(None, None))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_whatever_the_names_are_the_picture_is_well_formed_and_the_same_each_time(
    values: list[float | None], path: str, name: str
) -> None:
    drawn = svg(reply(*values, path=path, name=f"<script>&{name}"))
    root = ET.fromstring(drawn)
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {"svg", "style", "rect", "text", "title", "line"}
    assert drawn == svg(reply(*values, path=path, name=f"<script>&{name}"))
    page = html(reply(*values), [[path, name], [name, path]])
    assert page.count("<td>") == 2
    assert "<script" not in html(reply(*values), [["<script>"], ["<script>"]])


def test_nothing_is_drawn_beyond_the_picture() -> None:
    huge = ET.fromstring(svg(reply(1e308, -1e308)))
    for one in huge.findall(f"{SVG}rect")[1:]:
        assert 0 <= float(one.attrib["x"]) <= float(one.attrib["x"]) + float(one.attrib["width"]) <= 760
