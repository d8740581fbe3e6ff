"""The command line at other moments than now."""

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelog.sdk.settings import SERVICES
from tests.cli.line import CommandLine, Result


def head(line: CommandLine) -> str:
    return str(line.json("state", "moment")["revision"])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def changed(done: Result) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in map(json.loads, done.out.splitlines())}


@pytest.mark.parametrize("before", [True, False], ids=["modelog at", "--at"])
def test_any_command_reads_the_past(before: bool, line: CommandLine, project: str) -> None:
    then = head(line)
    line("models", "update", f"{project}/fraud", "--title", "Other")

    def at(*words: str) -> Result:
        return line("at", then, *words) if before else line("--at", then, *words)

    assert "Other" not in at("models", "get", f"{project}/fraud").out
    assert "Other" in line("models", "get", f"{project}/fraud").out
    assert "Fraud" in at("models", "list", project).out


def test_a_moment_is_a_revision_a_time_or_a_date(line: CommandLine, project: str) -> None:
    found = line.json("state", "moment")
    assert line.json("at", found["revision"], "state", "moment") == found
    time = datetime.now(UTC).isoformat()
    assert line.json("at", time, "state", "moment") == found
    assert line.json("at", "2001-01-01", "state", "moment")["revision"] == "0"
    assert "is neither a revision nor a time" in line("at", "yesterday", "projects", "list", expect=2).err
    assert "the log ends before" in line("at", "99999999", "state", "moment", expect=3).err


def test_what_follows_the_moment_belongs_to_the_command(line: CommandLine, project: str) -> None:
    told = line("at", head(line), "models", "list", "--help").out
    assert "modelog models list" in told
    assert line("at", head(line), "models", "list", project, "--json").json()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("models", "update", "{}/fraud", "--title", "Other"), "this command writes"),
        (("projects", "create", "late"), "this command writes"),
        (("audit", "checkpoints"), "tells of now"),
        (("status",), "tells of now"),
        (("whoami",), "tells of now"),
        (("at", "1", "projects", "list"), "say one moment"),
        (("nonsense",), "No such command"),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)
def test_what_cannot_be_read_of_the_past_says_why(
    words: tuple[str, ...], why: str, line: CommandLine, project: str
) -> None:
    then = head(line)
    assert why in line("at", then, *(word.format(project) for word in words), expect=2).err
    assert head(line) == then


def test_the_state_of_everything_is_the_same_bytes_whenever_it_is_asked_for(
    line: CommandLine, project: str, tmp_path: Path
) -> None:
    then = head(line)
    line("state", "export", tmp_path / "live")
    line("models", "update", f"{project}/fraud", "--title", "Other")
    line("models", "create", project, "churn", "--title", "Churn", "--owner", "users/ada")
    line("at", then, "state", "export", tmp_path / "later")
    live = contents(tmp_path / "live")
    assert contents(tmp_path / "later") == live
    manifest = json.loads(live["manifest.json"])
    assert manifest["revision"] == int(then) <= manifest["checkpoint"]["size"]
    assert manifest["checkpoint"]["origin"].encode() in live["checkpoint"]
    line("state", "export", tmp_path / "now")
    assert contents(tmp_path / "now") != live


def test_a_tar_holds_what_a_folder_holds(line: CommandLine, project: str, tmp_path: Path) -> None:
    then = head(line)
    line("--at", then, "state", "export", tmp_path / "folder", "--project", project)
    for name in ("one.tar", "two.tar"):
        line("--at", then, "state", "export", tmp_path / name, "--project", project)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    found = contents(tmp_path / "folder")
    assert contents(tmp_path / "unpacked") == found
    lines = [json.loads(one) for one in found["registry/model.jsonl"].splitlines()]
    assert [one["name"] for one in lines] == [f"projects/{project}/models/fraud"]
    assert lines[0]["resource"]["details"]["title"] == "Fraud"
    assert {path.partition("/")[0] for path in found} <= {"manifest.json", "checkpoint", *SERVICES}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "one.tar", "two.tar", "unpacked"]


def test_an_export_overwrites_nothing(line: CommandLine, project: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert "exists already" in line("state", "export", tmp_path / "there", expect=1).err
    assert "nothing had been recorded" in line("at", "2001-01-01", "state", "export", tmp_path / "x", expect=2).err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["there"]


def test_changes_say_what_was_created_changed_and_removed(line: CommandLine, project: str) -> None:
    line("environments", "define", project, "old", "--driver", "process")
    first = head(line)
    line("models", "update", f"{project}/fraud", "--title", "Other")
    line("models", "create", project, "churn", "--title", "Churn", "--owner", "users/ada")
    line("environments", "remove", f"{project}/old")
    last = head(line)
    line("models", "update", f"{project}/fraud", "--title", "Still another")
    found = changed(line("--json", "changes", "--from", first, "--to", last, "--project", project))
    fraud, churn = (found.pop(f"projects/{project}/models/{name}") for name in ("fraud", "churn"))
    old = found.pop(f"projects/{project}/environments/old")
    assert not found
    assert (fraud["what"], churn["what"], old["what"]) == ("changed", "created", "removed")
    assert fraud["fields"] == [{"path": "details.title", "before": "Fraud", "after": "Other"}]
    assert (fraud["service"], fraud["kind"], old["service"]) == ("registry", "model", "deployment")
    told = line("changes", "--from", first, "--to", last, "--project", project).rows()
    assert ["changed", "model", f"projects/{project}/models/fraud", "details.title", "Fraud", "Other"] in told
    assert ["removed", "environment", f"projects/{project}/environments/old"] in told
    names = line("changes", "--from", first, "--to", last, "--project", project, "--names-only").rows()
    assert ["changed", "model", f"projects/{project}/models/fraud"] in names
    assert line("changes", "--from", last, "--to", last).out.count("\n") == 0
    assert "is later than" in line("changes", "--from", last, "--to", first, expect=2).err


def test_a_project_does_not_show_in_the_changes_of_another(line: CommandLine, project: str) -> None:
    """Not even in those of one whose name its own begins with."""
    first = head(line)
    line("projects", "create", f"{project}-2", "--title", "Another")
    assert not line("--json", "changes", "--from", first, "--project", project).out
    assert changed(line("--json", "changes", "--from", first, "--project", f"{project}-2")).keys() == {
        f"projects/{project}-2"
    }
