"""Rules of retention, what they would come to, and what holds cover, by the command line."""

import time

from modelog.cli.failures import USAGE
from tests.cli.line import CommandLine


def sealed(line: CommandLine, project: str) -> str:
    """The record of a version that was labelled and retired."""
    line("versions", "register", f"{project}/fraud", line.file("model.onnx", "weights"), "--tag", "use=credit")
    line("versions", "retire", f"{project}/fraud/1")
    deadline = time.monotonic() + 30
    while "sealed" not in line("records", "list", project).out:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return f"projects/{project}/records/fraud-1"


def test_rules_are_set_previewed_and_removed(line: CommandLine, project: str) -> None:
    record = sealed(line, project)
    line("retention", "set", project, "short", "--days", "30", "--filter", "tags.use = credit", "--title", "House rule")
    line("retention", "set", project, "rest", "--for-ever", "--priority", "9")
    titles, *rows = line("retention", "list", project).rows()
    assert titles[:3] == ["NAME", "STATE", "PRIORITY"]
    assert len(rows) == 2
    assert line.json("retention", "get", f"{project}/short")["settings"]["days"] == 30
    assert line.json("retention", "preview", project) == []
    (kept,) = line.json("retention", "preview", project, "--all")
    assert (kept["record"], kept["rule"]) == (record, f"projects/{project}/retentions/short")
    (going,) = line.json("retention", "preview", project, "--until", "2099-01-01")
    assert going["expires"] is True
    line("holds", "place", project, "case-1", "--query", "tags.use = credit")
    (held,) = line.json("retention", "preview", project, "--until", "2099-01-01")
    assert held["holds"] == [f"projects/{project}/holds/case-1"]
    assert held["expires"] is False
    (covered,) = line.json("holds", "covers", f"{project}/case-1")
    assert (covered["record"], covered["byQuery"]) == (record, True)
    assert f"{project}/models/fraud/versions/1" in line("holds", "covers", f"{project}/case-1").out
    line("retention", "remove", f"{project}/short")
    assert line.json("retention", "preview", project, "--until", "2099-01-01") == []
    assert line.json("retention", "report", project, "--since", "2026-01-01") == []


def test_a_filter_that_cannot_be_read_says_where(line: CommandLine, project: str) -> None:
    told = line("retention", "set", project, "x", "--days", "1", "--filter", "stagge = x", expect=USAGE).err
    assert "did you mean stage?" in told
    assert "for how many days" in line("retention", "set", project, "x", expect=USAGE).err
