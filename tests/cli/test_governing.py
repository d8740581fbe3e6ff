"""Governance from the command line: templates, why, findings, checklists, verdicts, the end of a life."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from modelog.cli.failures import CONFLICT, DENIED, NOT_FOUND, USAGE
from tests.cli.line import CommandLine

ADA, BEN, CAT = "users/ada", "users/ben", "users/cat"
POLICY = {
    "rules": [
        {
            "to_stage": "testing",
            "required_documentation": ["limitations"],
            "checklist": [{"id": "oversight", "text": "a person can stop it", "evidence_required": True}],
            "required_reviews": [{"kind": "REVIEW_KIND_GENERAL", "count": 1}],
            "sources": {"limitations": "Article 13"},
        }
    ]
}


@pytest.fixture
def version(line: CommandLine, project: str) -> str:
    """A registered version under the policy, by its short name; made by ada."""
    model = line.file("governed.onnx", "weights")
    line("--as", ADA, "versions", "register", f"{project}/fraud", model)
    line("policies", "set", project, "--file", line.file("policy.json", POLICY))
    return f"{project}/fraud/1"


def test_a_template_is_shown_set_and_read_back(line: CommandLine, project: str) -> None:
    names = [one["name"] for one in line.json("policies", "templates")]
    assert names == ["eu-ai-act-annex-iv", "internal", "model-risk-management"]
    shown = line("policies", "show", "eu-ai-act-annex-iv").out
    assert "Annex IV(2)(d)" in shown
    assert "human-oversight" in shown
    line("policies", "set", project, "--template", "eu-ai-act-annex-iv")
    assert line.json("policies", "get", project) == line.json("policies", "show", "eu-ai-act-annex-iv")
    assert "Annex IV(9)" in line("policies", "get", project).out
    line("policies", "set", project, "--file", line.file("none.json", {"rules": []}))
    assert line.json("policies", "get", project) == {}
    assert "internal" in line("policies", "show", "other", expect=USAGE).err
    line("policies", "set", project, expect=USAGE)
    line("policies", "set", project, "--file", line.file("wrong.json", {"rules": [{"no": 1}]}), expect=USAGE)


def test_a_lifecycle_is_read_changed_and_set(line: CommandLine, project: str) -> None:
    lifecycle = line.json("lifecycles", "get", project)
    lifecycle["stages"].insert(1, {"id": "shadow", "phase": "PHASE_TESTING", "next": ["staging"]})
    lifecycle["stages"][0]["next"].append("shadow")
    line("lifecycles", "set", project, "--file", line.file("lifecycle.json", lifecycle))
    assert [row[0] for row in line("lifecycles", "get", project).rows()[1:3]] == ["development", "shadow"]


def test_why_says_what_to_run_and_who_could(line: CommandLine, version: str) -> None:
    told = line("versions", "why", version, "--to", "testing", expect=CONFLICT).out
    assert f"{version} may not move to testing" in told
    assert "ok      lifecycle: development leads to testing" in told
    assert "FAILED  limitations: documentation.limitations is filled in  [Article 13]" in told
    assert f"run:  modelog versions describe {version} --limitations" in told
    assert f"run:  modelog checklists answer {version} oversight --done" in told
    assert "nobody holds registry.versions.update" in told
    assert line.json("versions", "why", version, "--to", "testing", expect=CONFLICT)["nextSteps"]


def test_a_version_comes_through_its_gates_and_its_verdict_is_replayed(line: CommandLine, version: str) -> None:
    project = version.partition("/")[0]
    line("--as", ADA, "versions", "describe", version, "--limitations", "few large amounts")
    assert "oversight  testing  a person can stop it  -" in line("checklists", "list", version).out
    line("--as", BEN, "checklists", "answer", version, "oversight", expect=USAGE)
    line("--as", BEN, "checklists", "answer", version, "oversight", "--done", "--evidence", "https://wiki")
    assert "done by users/ben" in line("checklists", "list", version).out
    line("--as", BEN, "findings", "raise", version, "--severity", "high", "--title", "leaks", "--kind", "security")
    line("--as", ADA, "stages", "request", version, "testing")
    line("--as", CAT, "reviews", "submit", version, "--kind", "general", "--approve")
    told = line("versions", "why", version, "--to", "testing", expect=CONFLICT).out
    assert f"run:  modelog findings resolve {version} 1" in told
    assert "answered" in line("--as", ADA, "findings", "resolve", version, "1", "--text", "mended").out
    assert f"run:  modelog findings confirm {version} 1" in line(
        "versions", "why", version, "--to", "testing", expect=CONFLICT
    ).out  # fmt: skip
    line("--as", ADA, "findings", "confirm", version, "1", expect=DENIED)
    line("--as", CAT, "findings", "confirm", version, "1")
    assert line("findings", "list", version).rows()[1][:4] == ["1", "high", "resolved", "leaks"]
    assert line.json("findings", "list", version, "--unsettled") == []
    assert "may move" in line("versions", "why", version, "--to", "testing").out
    line("--as", ADA, "stages", "change", version, "testing")
    assert "reproduced" in line("versions", "replay-verdict", version, "--to", "testing").out
    stricter = json.loads(json.dumps(POLICY))
    stricter["rules"][0]["required_reviews"][0]["count"] = 2
    path = line.file("stricter.json", stricter)
    differing = line("versions", "replay-verdict", version, "--to", "testing", "--policy-file", path, expect=CONFLICT)
    assert "may not move" in differing.out
    (row,) = (row for row in differing.rows() if row[:1] == ["general"])
    assert " ".join(row).startswith("general passed: approved by 1 failed: 1 more needed")
    line("versions", "replay-verdict", version, "--to", "production", expect=NOT_FOUND)
    line("policies", "set", project, "--template", "internal")
    assert "reproduced" in line("versions", "replay-verdict", version, "--to", "testing").out


def test_reviews_are_delegated(line: CommandLine, project: str) -> None:
    line("--as", BEN, "reviews", "delegate", project, CAT, "--until", "2020-01-01", expect=USAGE)
    until = line.json("projects", "get", project)["createTime"].replace("Z", "+00:00")
    later = (datetime.fromisoformat(until) + timedelta(days=30)).isoformat()
    line("--as", BEN, "reviews", "delegate", project, CAT, "--until", later)
    assert line("reviews", "delegations", project).rows()[1][:3] == ["1", BEN, CAT]
    line("--as", CAT, "reviews", "end-delegation", project, "1")
    assert line.json("reviews", "delegations", project) == []


def test_the_end_of_a_version_and_the_way_back(line: CommandLine, version: str) -> None:
    project = version.partition("/")[0]
    model: Path = line.file("child.onnx", "better weights")
    line("--as", BEN, "versions", "register", f"{project}/fraud", model, "--parent-version", version)
    line("aliases", "assign", f"{project}/fraud", "champion", version)
    assert line("versions", "dependents", version).rows()[1:] == [
        ["alias", "champion", "retiring"],
        ["derived", "version", f"{project}/fraud/2"],
    ]
    line("--as", ADA, "versions", "deprecate", version, "--sunset", "2020-01-01")
    assert [one["name"] for one in line.json("versions", "deprecated", f"{project}/-", "--past-sunset")] == [
        f"projects/{version.replace('/fraud/', '/models/fraud/versions/')}"
    ]
    assert line("versions", "deprecated", f"{project}/-").rows()[1][:4] == [
        version,
        "development",
        "2020-01-01",
        "00:00:00Z",
    ]
    line("versions", "retire", version, expect=CONFLICT)
    line("aliases", "remove", f"{project}/fraud", "champion")
    assert f"derived from it: {project}/fraud/2" in line("versions", "retire", version, "--dry-run").err
    line("versions", "retire", version)
    line("--as", ADA, "versions", "restore", version, expect=DENIED)
    assert "development" in line("--as", BEN, "versions", "restore", version).out
