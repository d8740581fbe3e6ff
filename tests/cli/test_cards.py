"""Measuring predictions, describing versions from files, and cards, against a running registry."""

import json
from pathlib import Path

import grpc
import pytest

from modelog.archive.v1.archive_service_pb2 import ReadFactsRequest
from modelog.archive.v1.archive_service_pb2_grpc import ArchiveServiceStub
from modelog.cli.failures import CONFLICT, FAILED, USAGE
from suite.suite import Suite
from tests.cli.line import CommandLine
from tests.evaluate.rows import binary

CANARY = "canary-7f3a"


@pytest.fixture
def version(line: CommandLine, project: str) -> str:
    line("--as", "users/ada", "versions", "register", f"{project}/fraud", line.file("card-model.onnx", "weights"))
    return f"{project}/fraud/1"


@pytest.fixture
def rows(line: CommandLine) -> Path:
    """Predictions as CSV; in three rows the group is one of its own, and names nobody else has are in a column."""
    found = binary(rows=400)
    sex = [CANARY + str(place) if place in (3, 77, 301) else str(one) for place, one in enumerate(found["sex"])]
    lines = [
        f"{label},{score:.6f},{group},{region},{CANARY}-{place}"
        for place, (label, score, group, region) in enumerate(
            zip(found["label"], found["score"], sex, found["region"], strict=True)
        )
    ]
    return line.file("holdout 2026.csv", "label,score,sex,region,name\n" + "\n".join(lines) + "\n")


MEASURE = ("--score", "score", "--sensitive", "sex", "--slice", "region", "--sensitive", "sex+region")


def test_predictions_are_measured_recorded_and_shown(line: CommandLine, version: str, rows: Path) -> None:
    done = line("evaluate", version, rows, *MEASURE, "--reason", "release")
    assert "ALL 400 ROWS" in done.out
    assert "roc_auc" in done.out
    assert "region = eu" in done.out
    assert "OVER SEX" in done.out
    assert "groups" in done.err
    found = line.json("versions", "get", version)["evaluations"]["holdout-2026"]
    assert (found["rows"], found["threshold"], found["positiveLabel"]) == ("400", 0.5, "1")
    assert found["dataSet"]["name"] == "holdout 2026.csv"
    assert [one["attribute"] for one in found["fairness"]] == ["sex", "sex+region"]
    assert found["metrics"]["roc_auc"]["interval"]["method"].startswith("DeLong")
    before = line.json("versions", "get", version)["revision"]
    again = line.json("evaluate", version, rows, *MEASURE)
    assert again["revision"] == before
    assert line.json("versions", "get", version)["generation"] == "2"


def test_nothing_of_single_rows_ever_reaches_the_log(line: CommandLine, suite: Suite, version: str, rows: Path) -> None:
    line("evaluate", version, rows, *MEASURE)
    stub = ArchiveServiceStub(grpc.insecure_channel(suite.address("archive")))
    told = b"".join(one.SerializeToString() for one in stub.ReadFacts(ReadFactsRequest(from_revision=1), timeout=20))
    assert b"sex+region" in told
    assert CANARY.encode() not in told
    for path in suite.folder.rglob("*"):
        if path.is_file() and path.stat().st_size < 50_000_000 and "artifacts" not in path.parts:
            assert CANARY.encode() not in path.read_bytes(), path


def test_measuring_needs_no_service_when_nothing_is_recorded(alone: CommandLine) -> None:
    path = alone.file("p.csv", "y,p\n1.5,1\n2.5,3\n-1.25,-1\n")
    done = alone.json("evaluate", "risk/fraud/1", path, "--label", "y", "--prediction", "p", "--no-record")
    assert set(done["evaluation"]["metrics"]) == {"mae", "mape", "rmse", "r2"}
    assert "revision" not in done
    told = alone("evaluate", "risk/fraud/1", path, "--label", "z", "--no-record", expect=FAILED)
    assert "column 'z' is not there; there are y, p" in told.err


def test_many_labels_have_a_column_of_scores_each(alone: CommandLine) -> None:
    path = alone.file("p.csv", "y,a,b,c\na,0.8,0.1,0.1\nb,0.2,0.5,0.3\nc,0.1,0.6,0.3\n")
    asked = ["evaluate", "risk/fraud/1", path, "--label", "y", "--no-record", "--score"]
    done = alone.json(*asked, "a=a", "--score", "b=b", "--score", "c=c")
    assert {"roc_auc_macro", "log_loss", "brier", "f1_macro"} <= set(done["evaluation"]["metrics"])
    assert "say LABEL=COLUMN" in alone(*asked, "a", "--score", "b=b", expect=USAGE).err


def test_a_dry_run_measures_and_records_nothing(line: CommandLine, version: str, rows: Path) -> None:
    told = line("evaluate", version, rows, *MEASURE, "--dry-run")
    assert "would be accepted" in told.out
    assert line.json("versions", "get", version)["evaluations"] == {}


LIMITS = "# Fraud\n\n## Limitations\n\nFew *large* amounts.\n\n- none before 2020\n\n## Out of scope\nBlocking.\n"


def test_a_version_is_described_from_a_file_and_again_is_no_news(line: CommandLine, version: str) -> None:
    line("versions", "describe", version, "--file", line.file("d.md", LIMITS), "--summary", "s")
    found = line.json("versions", "get", version)
    assert found["documentation"]["limitations"] == "Few *large* amounts.\n\n- none before 2020"
    assert (found["documentation"]["outOfScope"], found["documentation"]["summary"]) == ("Blocking.", "s")
    line("versions", "describe", version, "--file", line.file("d.md", LIMITS))
    assert line.json("versions", "get", version)["revision"] == found["revision"]
    line.file("d.toml", 'limitations = "none"\n[resources]\nhours = 2.5\n[properties.pii]\nflag = true\n')
    line("versions", "describe", version, "--file", "d.toml", "--limitations", "typed")
    found = line.json("versions", "get", version)["documentation"]
    assert (found["limitations"], found["resources"]["hours"]) == ("typed", 2.5)
    assert found["properties"]["pii"]["flag"] is True
    line("versions", "describe", version, "--file", line.file("d.json", {"outOfScope": "", "caveats": "c"}))
    found = line.json("versions", "get", version)["documentation"]
    assert (found["outOfScope"], found["caveats"]) == ("", "c")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.json", {"limits": "x"}, "limits"),
        ("d.json", "[1]", "has to be an object"),
        ("d.json", "{", "Expecting"),
        ("d.toml", "x = ", "Invalid value"),
        ("d.yaml", "x: 1", "give .json, .toml or .md"),
        ("d.md", "## Luck\nfair\n", "'Luck' is none of: summary"),
        ("d.md", "## Caveats\na\n## caveats\nb\n", "'caveats' is there twice"),
    ],
)
def test_a_file_that_says_something_else_is_refused(alone: CommandLine, name: str, content: object, told: str) -> None:
    alone.file(name, content)
    done = alone("versions", "describe", "risk/fraud/1", "--file", name, expect=USAGE)
    assert told in done.err


def test_a_model_is_described_from_a_file(line: CommandLine, project: str) -> None:
    details = {
        "license": "Apache-2.0",
        "languages": ["en"],
        "links": [{"title": "Runbook", "uri": "https://x.example"}],
    }
    line("models", "update", f"{project}/fraud", "--file", line.file("m.json", details), "--contact", "desk")
    found = line.json("models", "get", f"{project}/fraud")["details"]
    assert (found["license"], found["languages"], found["contact"]) == ("Apache-2.0", ["en"], "desk")
    assert found["title"] == "Fraud"


def test_a_card_is_rendered_as_of_any_revision(line: CommandLine, version: str, rows: Path) -> None:
    line("evaluate", version, rows, *MEASURE)
    line("versions", "describe", version, "--limitations", "Few <b>large</b> amounts.")
    early = line.json("card", version)
    page = line.folder / "card.html"
    told = line("card", version, "--out", page).out
    assert "filled in; missing: model.description" in told
    text = page.read_text(encoding="utf-8")
    assert "Few &lt;b&gt;large&lt;/b&gt; amounts." in text
    assert "<svg" in text
    line("versions", "describe", version, "--limitations", "")
    assert "Few" not in line("card", version).out
    past = line("--at", early["asOfRevision"], "card", version, "--format", "html").out
    assert past == text
    assert line("card", version).out.startswith("# Fraud\n")
    assert line("card", version, "--format", "huggingface").out.startswith("---\n")
    assert json.loads(line("card", version, "--format", "cyclonedx").out)["bomFormat"] == "CycloneDX"
    written = line.json("card", version, "--out", line.folder / "card.md")
    assert "documentation.limitations" in written["missing"]


def test_a_draft_is_filled_in_and_given_back(line: CommandLine, version: str) -> None:
    text = "# not a heading\n\\# nor this\n\nend"
    line("versions", "describe", version, "--limitations", text, "--summary", "s")
    before = line.json("versions", "get", version)
    line("card", version, "--format", "draft", "--out", line.folder / "draft.md")
    draft = (line.folder / "draft.md").read_text()
    assert draft.startswith("# Fraud\n\n## Intended use\n")
    line("versions", "describe", version, "--file", "draft.md")
    assert line.json("versions", "get", version)["revision"] == before["revision"]
    line.file("draft.md", draft.replace("## Caveats\n", "## Caveats\n\nmind the gap\n"))
    line("versions", "describe", version, "--file", "draft.md")
    after = line.json("versions", "get", version)["documentation"]
    assert (after["caveats"], after["limitations"]) == ("mind the gap", text)


def test_without_numpy_the_extra_is_named(alone: CommandLine) -> None:
    path = alone.file("p.csv", "y,p\n1,1\n")
    told = alone.run("evaluate", "risk/fraud/1", path, "--no-record", code="import sys; sys.modules['numpy'] = None")
    assert (told.status, told.err) == (FAILED, "error: numpy is missing: pip install 'modelog[evaluate]' (FAILED)\n")


def test_a_share_of_the_card_can_be_required(line: CommandLine, version: str) -> None:
    told = line("card", version, "--require", 0.9, "--out", line.folder / "c.md", expect=CONFLICT)
    assert "missing: model.description" in told.err
    line("card", version, "--require", 0.01, "--out", line.folder / "c.md")


def test_a_contradiction_is_told_by_its_field(line: CommandLine, version: str) -> None:
    wrong = {"metrics": {"auc": {"value": 0.9, "interval": {"low": 0.95, "high": 1, "level": 0.95}}}}
    done = line("versions", "evaluate", version, "x", "--evaluation", json.dumps(wrong), expect=USAGE)
    assert 'evaluation.metrics["auc"].interval' in done.err
