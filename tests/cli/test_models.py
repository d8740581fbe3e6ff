"""Projects, models, versions, stages, reviews and aliases, against a running registry."""

from pathlib import Path

import pytest

from modelog.cli.failures import CONFLICT, DENIED, NOT_FOUND, USAGE
from tests.cli.line import CommandLine

SIGNATURE = {
    "inputs": [{"name": "amount", "type": "DATA_TYPE_FLOAT64"}],
    "outputs": [{"name": "p", "type": "DATA_TYPE_FLOAT64"}],
}


@pytest.fixture
def model(line: CommandLine) -> Path:
    return line.file("model.onnx", "weights")


@pytest.fixture
def version(line: CommandLine, project: str, model: Path) -> str:
    """A registered version, by its short name; made by ada."""
    line("--as", "users/ada", "versions", "register", f"{project}/fraud", model, "--param", "depth=3")
    return f"{project}/fraud/1"


def test_a_project_is_created_and_found(line: CommandLine, project: str) -> None:
    assert line.json("projects", "get", project)["title"] == f"Project {project}"
    titles, *rows = line("projects", "list").rows()
    assert titles[:2] == ["NAME", "TITLE"]
    assert f"projects/{project}" in [row[0] for row in rows]
    details = line("projects", "get", f"projects/{project}").out
    assert "title        Project" in details
    assert "next   testing" in details


def test_a_version_is_registered_with_all_that_is_known_of_it(line: CommandLine, project: str, model: Path) -> None:
    line.file("signature.json", SIGNATURE)
    done = line.json(
        "versions", "register", f"{project}/fraud", model, "--signature", "@signature.json", "--param", "depth=3",
        "--param", "eta=0.1", "--framework", "scikit-learn 1.9", "--data", '{"name": "2026-q1"}', "--limitations",
        "few large amounts", "--reason", "first try", "--as", "users/ada",
    )  # fmt: skip
    assert done["name"] == f"projects/{project}/models/fraud/versions/1"
    version = line.json("versions", "get", f"{project}/fraud/1")
    assert version["hyperparameters"] == {"depth": "3", "eta": "0.1"}
    assert version["signature"]["inputs"][0]["name"] == "amount"
    assert version["trainingData"][0]["name"] == "2026-q1"
    assert version["documentation"]["limitations"] == "few large amounts"
    assert (version["author"], version["artifact"]["format"]) == ("users/ada", "onnx")
    stored = line.folder / ".modelog" / "artifacts" / "sha256" / version["artifact"]["sha256"]
    assert stored.read_text() == "weights"
    (entry,) = line.json("history", version["name"])
    assert entry["fact"]["reason"] == "first try"


def test_a_dry_run_records_nothing_and_leaves_no_file(line: CommandLine, project: str) -> None:
    model = line.file("other.onnx", "other weights")
    told = line("versions", "register", f"{project}/fraud", model, "--dry-run").out
    assert told == f"projects/{project}/models/fraud/versions/1: would be accepted; nothing was recorded\n"
    assert line.json("versions", "list", f"{project}/fraud") == []
    stored = [path.read_bytes() for path in (line.folder / ".modelog" / "artifacts").glob("sha256/*")]
    assert b"other weights" not in stored


def test_a_file_kept_elsewhere_is_registered_where_it_is(line: CommandLine, project: str, model: Path) -> None:
    line("versions", "register", f"{project}/fraud", model, "--uri", "s3://models/1.onnx", "--format", "onnx")
    assert line.json("versions", "get", f"{project}/fraud/1")["artifact"]["uri"] == "s3://models/1.onnx"


def test_lists_are_cut_for_people_and_whole_for_programs(line: CommandLine, project: str) -> None:
    for number in range(12):
        line("models", "create", project, f"m{number:02}")
    some = line("models", "list", project, "--limit", 5)
    assert len(some.out.splitlines()) == 6
    assert "only the first 5 are shown" in some.err
    assert "only" not in line("models", "list", project, "--limit", 13).err
    assert len(line.json("models", "list", project)) == 13
    assert len(line("models", "list", project, "--limit", 0).out.splitlines()) == 14


def test_what_is_written_about_a_version_is_changed_and_cleared(line: CommandLine, version: str) -> None:
    line(
        "versions",
        "describe",
        version,
        "--limitations",
        "some",
        "--summary",
        "short",
        "--property",
        'rows={"number": 3}',
    )
    line("versions", "describe", version, "--limitations", "")
    written = line.json("versions", "get", version)["documentation"]
    assert (written["summary"], written["limitations"]) == ("short", "")
    assert written["properties"]["rows"] == {"number": 3.0}
    assert "say what to change" in line("versions", "describe", version, expect=USAGE).err


def test_a_model_is_described_by_field(line: CommandLine, project: str) -> None:
    line("models", "update", f"{project}/fraud", "--task", "binary-classification")
    details = line.json("models", "get", f"{project}/fraud")["details"]
    assert (details["task"], details["title"], details["owners"]) == ("binary-classification", "Fraud", ["users/ada"])
    line("models", "tag", f"{project}/fraud", "team", "risk")
    assert line.json("models", "get", f"{project}/fraud")["tags"] == {"team": "risk"}
    line("models", "untag", f"{project}/fraud", "team")
    assert line.json("models", "get", f"{project}/fraud")["tags"] == {}


def test_versions_are_measured_and_compared(line: CommandLine, project: str, version: str, model: Path) -> None:
    line("versions", "register", f"{project}/fraud", model, "--param", "depth=4")
    for number, auc in ((1, 0.81), (2, 0.84)):
        line(
            "versions", "evaluate", f"{project}/fraud/{number}", "holdout", "--metric", f"auc={auc}", "--loss", "mae=2"
        )
    table = line("versions", "compare", version, f"{project}/fraud/2").out
    assert f"{project}/fraud/1" in table.splitlines()[0]
    assert "0.84 best" in table
    compared = line.json("versions", "compare", version, f"{project}/fraud/2")
    best = {metric["path"]: metric["best"] for metric in compared["metrics"]}
    assert best["evaluations.holdout.metrics.auc"] == [f"projects/{project}/models/fraud/versions/2"]
    assert "--metric, --loss or --evaluation" in line("versions", "evaluate", version, "x", expect=USAGE).err


def test_a_version_moves_on_when_others_have_approved_it(line: CommandLine, project: str, version: str) -> None:
    rule = {"toStage": "testing", "requiredReviews": [{"kind": "REVIEW_KIND_FAIRNESS", "count": 1}]}
    policy = line.file("policy.json", {"rules": [rule | {"requiredDocumentation": ["limitations"]}]})
    line("projects", "set-policy", project, f"@{policy}")
    check = line("versions", "check", version, "testing", expect=CONFLICT).out
    assert "not allowed" in check
    assert "limitations" in check
    assert line.json("versions", "check", version, "testing", expect=CONFLICT)["allowed"] is False
    refused = line("stages", "change", version, "testing", expect=CONFLICT).err
    assert refused.startswith("error: ")
    line("versions", "describe", version, "--limitations", "few large amounts")
    assert "nobody has asked" in line("reviews", "list", version, expect=1).err
    line("stages", "request", version, "testing")
    own = ["reviews", "submit", version, "--kind", "fairness", "--approve", "--comment", "fine"]
    assert "SEPARATION_OF_DUTIES" in line("--as", "users/ada", *own, expect=DENIED).err
    line("--as", "users/bob", *own)
    assert [one["reviewer"] for one in line.json("reviews", "list", version)["reviews"]] == ["users/bob"]
    assert "users/bob" in line("reviews", "list", version).out
    line("versions", "check", version, "testing")
    line("stages", "change", version, "testing")
    assert line.json("versions", "get", version)["phase"] == "PHASE_TESTING"


def test_a_review_has_to_say_yes_or_no(line: CommandLine, version: str) -> None:
    line("stages", "request", version, "testing")
    assert "--approve or --reject" in line("reviews", "submit", version, "--kind", "fairness", expect=USAGE).err
    line("stages", "withdraw", version)
    assert line.json("reviews", "list", version)["state"] == "TRANSITION_STATE_WITHDRAWN"


def test_aliases_move(line: CommandLine, project: str, version: str, model: Path) -> None:
    line("versions", "register", f"{project}/fraud", model)
    line("aliases", "assign", f"{project}/fraud", "champion", version)
    moved = line.json("aliases", "assign", f"{project}/fraud", "champion", f"{project}/fraud/2")
    assert moved["displacedVersion"].endswith("/versions/1")
    assert "champion=" in line("models", "list", project).out
    line("aliases", "remove", f"{project}/fraud", "champion")
    line("aliases", "remove", f"{project}/fraud", "champion", expect=NOT_FOUND)


def test_the_past_is_read_by_revision_and_by_time(line: CommandLine, version: str) -> None:
    before = line.json("versions", "get", version)
    line("versions", "deprecate", version, "--message", "old", "--sunset", "2027-01-01")
    assert line.json("versions", "get", version)["deprecation"]["sunsetTime"] == "2027-01-01T00:00:00Z"
    assert "deprecation" not in line.json("--at", before["revision"], "versions", "get", version)
    assert "deprecation" not in line.json("versions", "get", version, "--at", before["updateTime"])
    assert "this command writes" in line("--at", "1", "versions", "retire", version, expect=USAGE).err
    assert "neither a revision nor a time" in line("--at", "soon", "versions", "get", version, expect=USAGE).err
    assert line("--at", "2000-01-01", "versions", "get", version, expect=NOT_FOUND).out == ""


def test_a_stale_etag_is_a_conflict_and_a_lost_request_is_repeated(line: CommandLine, version: str) -> None:
    again = ["versions", "tag", version, "a", "b", "--request-id", f"once-{version}"]
    assert line.json(*again) == line.json(*again)
    refused = line("versions", "tag", version, "a", "c", "--etag", "1", expect=CONFLICT)
    assert "ETAG_MISMATCH" in refused.err
    assert "REQUEST_ID_REUSED" in line(*again[:4], "z", *again[5:], expect=CONFLICT).err


def test_retiring_ends_a_version(line: CommandLine, version: str) -> None:
    line("versions", "retire", version, "--reason", "too old")
    assert line.json("versions", "get", version)["phase"] in ("PHASE_RETIRED", "PHASE_ARCHIVED")


def test_lifecycles_are_set_from_files(line: CommandLine, project: str) -> None:
    lifecycle = line.json("projects", "get", project)["lifecycle"]
    line("projects", "set-lifecycle", project, line.file("lifecycle.json", lifecycle).read_text())
    assert "not a Lifecycle as JSON" in line("projects", "set-lifecycle", project, "{", expect=USAGE).err
