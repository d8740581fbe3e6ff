"""What lies in a record, putting its artifact back, and erasing words, by the command line."""

import time
from pathlib import Path

import pytest

from modelog.texts import ERASED
from tests.cli.line import CommandLine
from tests.cli.test_retention import sealed


def until(line: CommandLine, wanted: str, *arguments: str) -> str:
    deadline = time.monotonic() + 30
    while wanted not in (told := line(*arguments).out):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def test_a_record_is_looked_into_and_its_artifact_comes_back(line: CommandLine, project: str, tmp_path: Path) -> None:
    sealed(line, project)
    record = f"{project}/fraud-1"
    contents = line.json("records", "files", record)
    files = {one["path"]: one for one in contents["files"]}
    assert (Path(contents["imageAddress"]) / "index.json").exists()
    assert line("records", "fetch", record, "model-card.md").out.startswith("# Fraud, version 1")
    line("records", "fetch", record, "artifact", "--out", tmp_path / "model")
    assert (tmp_path / "model").read_text() == "weights"
    assert "records files" in line("records", "fetch", record, "nothing", expect=3).err
    [cost] = line.json("records", "cost", project)["costs"]
    assert int(cost["recordCount"]) == 1
    assert f"projects/{project}" in line("records", "cost", "all").out
    lying = line.folder / ".modelog" / "artifacts" / "sha256" / files["artifact"]["sha256"]
    lying.unlink()
    line("--as", "users/kim", "records", "request-restore", record, "--reason", "a complaint")
    alone = line("--as", "users/kim", "records", "approve-restore", record, expect=5).err
    assert "somebody else has to agree" in alone
    line("--as", "users/lee", "records", "approve-restore", record)
    until(line, '"restoreCount": 1', "--json", "records", "get", record)
    assert lying.read_text() == "weights"


def test_words_are_erased_and_the_report_says_by_which_right(line: CommandLine, project: str) -> None:
    line("threads", "open", f"{project}/fraud", "--title", "Bias", "--body", "Frau Zimmermann complained")
    assert "Zimmermann" in line("threads", "show", f"{project}/fraud/1").out
    assert "Zimmermann" in line("replay", "--project", project).out
    resource = f"projects/{project}/models/fraud/threads/1"
    line("erasures", "request", project, "dsr-1", "--resource", resource, "--authority", "DSR 1")
    until(line, "erased", "erasures", "get", f"{project}/dsr-1")
    told = line("threads", "show", f"{project}/fraud/1").out
    assert ERASED in told
    assert "Zimmermann" not in told
    titles, row = line("erasures", "list", project).rows()
    assert titles[0] == "NAME"
    assert "DSR" in row
    assert "Zimmermann" not in line("replay", "--project", project).out


@pytest.mark.parametrize("scope", [[], ["--resource", "projects/other/models/m"]])
def test_an_erasure_says_whose_or_which_words(line: CommandLine, project: str, scope: list[str]) -> None:
    told = line("erasures", "request", project, "x", "--authority", "me", *scope, expect=2).err
    assert "scope" in told
