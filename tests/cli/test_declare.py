"""`modelog apply`, `diff` and `export` against running services."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelog.cli.failures import FAILED, INTERRUPTED, NOT_FOUND, USAGE
from modelog.cli.state import State
from tests.cli.line import CommandLine

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "modelog.yaml"
_WOULD_CHANGE = 2
_numbers = iter(range(1, 1000))


@pytest.fixture
def risk() -> str:
    """A project that is not there yet."""
    return f"declared-{next(_numbers)}"


@pytest.fixture
def file(line: CommandLine, risk: str) -> Path:
    """The example of the documentation, for that project."""
    return line.file(
        f"{risk}.yaml", EXAMPLE.read_text().replace("name: risk", f"name: {risk}").replace(": risk/", f": {risk}/")
    )


def test_the_example_is_planned_applied_and_then_changes_nothing(line: CommandLine, risk: str, file: Path) -> None:
    told = line("diff", "-f", file, expect=_WOULD_CHANGE).out
    assert f"+ Project projects/{risk}" in told
    assert '+ details.title: "Card fraud"' in told
    assert told.splitlines()[-1] == "5 to create, 0 to change, 0 unchanged"
    line("projects", "get", risk, expect=NOT_FOUND)
    applied = line.json("apply", "-f", file, "--yes")
    assert [one["method"].partition(".")[2] for one in applied["facts"]] == [
        "CreateProject", "DefineRole", "SetLifecycle", "SetPolicy", "CreateModel", "DefineEnvironment",
        "CreateEndpoint", "CreateMonitor",
    ]  # fmt: skip
    assert line("diff", "-f", file).out == "0 to create, 0 to change, 5 unchanged\n"
    assert line.json("apply", "-f", file, "--yes")["facts"] == []
    project = line.json("projects", "get", risk)
    assert project["policy"]["protectedAliases"][0] == {
        "alias": "champion", "role": "model-owner", "phases": ["PHASE_PRODUCTION"],
    }  # fmt: skip
    assert line.json("monitors", "get", f"{risk}/fraud-eu")["checks"][0]["minimumRows"] == "100"


def test_what_others_changed_is_told_value_by_value_and_put_right(line: CommandLine, risk: str, file: Path) -> None:
    line("apply", "-f", file, "--yes")
    line("models", "update", f"{risk}/fraud", "--title", "Changed by hand")
    line("models", "tag", f"{risk}/fraud", "made-by", "a job")
    line("environments", "define", risk, "production", "--admit", "production", "--approvals", "0")
    told = line("diff", "-f", file, expect=_WOULD_CHANGE).out
    assert '~ details.title: "Changed by hand" -> "Card fraud"' in told
    assert "+ approvals_needed: 1" in told
    assert "made-by" not in told
    line("apply", "-f", file, "--yes", "--reason", "put right")
    model = line.json("models", "get", f"{risk}/fraud")
    assert model["details"]["title"] == "Card fraud"
    assert model["tags"] == {"team": "payments", "made-by": "a job"}
    assert line.json("history", model["name"])[-1]["fact"]["reason"] == f"put right: apply {file.name}"
    assert line("diff", "-f", file).status == 0


def test_an_export_applied_changes_nothing_also_from_standard_input(
    line: CommandLine, risk: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line("apply", "-f", file, "--yes")
    exported = line("export", risk).out
    assert "kind: Monitor" in exported
    assert "admittedPhases:\n  - production" in exported
    assert "description: |\n    Scores card payments" in exported
    copy = line.file(f"{risk}-copy.yaml", exported)
    assert line.json("diff", "-f", copy)["resources"] == [
        one | {"action": "unchanged", "changes": []} for one in line.json("diff", "-f", copy)["resources"]
    ]
    with copy.open() as text:
        monkeypatch.setattr("sys.stdin", text)
        assert line("diff", "-f", "-").status == 0
    line("export", risk, "-o", copy)
    assert copy.read_text() == exported
    line("export", "nobody", expect=NOT_FOUND)


def test_what_is_wrong_is_told_with_its_line(line: CommandLine, risk: str, file: Path) -> None:
    wrong = line.file(f"{risk}-wrong.yaml", "kind: Model\nname: x/y\ndetails:\n  titel: T\n")
    told = line("diff", "-f", wrong, expect=FAILED).err
    assert told == f"error: {wrong}:4: unknown key 'titel'; did you mean 'title'?\n"
    assert "unknown key" in line("--json", "apply", "-f", wrong, "--yes", expect=FAILED).err
    line("apply", "-f", file, "--yes")
    text = file.read_text().replace(".metrics.auc >= 0.8", ".metrics.auc >=")
    broken = line.file(f"{risk}-broken.yaml", text)
    row = text.splitlines().index("          expression: evaluations['holdout'].metrics.auc >=") + 1
    assert f"{broken}:{row}: policy.rules[0].gates[0].expression: " in line("diff", "-f", broken, expect=FAILED).err
    moved = line.file(
        f"{risk}-moved.yaml",
        text.replace(".metrics.auc >=", ".metrics.auc >= 0.8").replace(
            f"environment: {risk}/production", f"environment: {risk}/elsewhere"
        ),
    )
    assert "for good; declare another endpoint" in line("diff", "-f", moved, expect=FAILED).err


def test_in_a_dry_run_two_means_changes_and_nothing_else(line: CommandLine, risk: str, file: Path) -> None:
    line("diff", "--nonsense", expect=FAILED)
    line("apply", "--dry-run", "-f", file, "--nonsense", expect=FAILED)
    line("apply", "-f", file, "--nonsense", expect=USAGE)
    line("apply", "-f", file, expect=USAGE)
    line("apply", "--dry-run", "-f", file, expect=_WOULD_CHANGE)
    line("diff", "-f", line.folder / "nothing.yaml", expect=FAILED)


def test_what_no_file_declares_is_left_and_listed(line: CommandLine, risk: str, file: Path) -> None:
    line("apply", "-f", file, "--yes")
    line("models", "create", risk, "churn")
    told = line("apply", "-f", file, "--yes", "--show-unmanaged").out
    assert f"? Model projects/{risk}/models/churn  in no file" in told
    line("models", "get", f"{risk}/churn")


def test_the_reason_is_the_file_and_its_commit(line: CommandLine, risk: str, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "models"
    folder.mkdir(parents=True)
    inside = folder / "modelog.yaml"
    inside.write_text(file.read_text())

    def git(*arguments: str) -> str:
        person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        done = subprocess.run(
            ["git", "-C", str(folder), *person, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet", str(folder.parent))
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    line("apply", "-f", inside, "--yes")
    commit = git("rev-parse", "HEAD")[:12]
    (created,) = line.json("history", f"projects/{risk}/models/fraud")[:1]
    assert created["fact"]["reason"] == f"apply models/modelog.yaml at {commit}"
    inside.write_text(inside.read_text().replace("Card fraud\n", "Card payments\n"))
    line("apply", "-f", folder, "--yes")
    assert (
        line.json("history", f"projects/{risk}/models/fraud")[-1]["fact"]["reason"]
        == f"apply models at {commit} (modified)"
    )


def test_a_change_in_between_is_seen_and_planned_anew(
    line: CommandLine, risk: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line("apply", "-f", file, "--yes")
    line("models", "update", f"{risk}/fraud", "--title", "By hand")
    plainly, others = State.call, iter(["--task"])

    def call(state: State, method: str, request: Any) -> Any:
        """Lets somebody else write once, just before the first write of `apply`."""
        if method == "registry.UpdateModel" and not request.validate_only and request.reason:
            for flag in others:
                line("models", "update", f"{risk}/fraud", flag, "something else")
        return plainly(state, method, request)

    monkeypatch.setattr(State, "call", call)
    done = line("apply", "-f", file, "--yes")
    assert "has changed since the plan was made; planning again" in done.err
    assert '~ details.task: "something else" -> "binary-classification"' in done.out
    assert line.json("models", "get", f"{risk}/fraud")["details"]["title"] == "Card fraud"
    assert line("diff", "-f", file).status == 0


def test_a_lifecycle_and_the_policy_over_it_change_together(line: CommandLine, risk: str, file: Path) -> None:
    """Neither fits what is there: the new policy names a new stage, the old one a stage that goes."""
    line("apply", "-f", file, "--yes")
    renamed = line.file(f"{risk}-renamed.yaml", file.read_text().replace("validation", "checking"))
    line("apply", "-f", renamed, "--yes")
    assert line("diff", "-f", renamed).status == 0
    gone = (
        file.read_text()
        .replace("[production, development]", "[development]")
        .replace("toStage: production", "toStage: validation")
    )
    line("apply", "-f", line.file(f"{risk}-gone.yaml", gone), "--yes")
    assert line.json("projects", "get", risk)["policy"]["rules"][0]["toStage"] == "validation"


def test_only_some_of_what_files_declare_is_applied(line: CommandLine, risk: str, file: Path) -> None:
    """Who may write models is seldom who may write policies, so one file is applied by several people."""
    line("apply", "-f", file, "--only", "Project", "--yes")
    assert (
        "1 to create, 0 to change, 0 unchanged"
        in line("diff", "-f", file, "--only", f"projects/{risk}/models/fraud", expect=_WOULD_CHANGE).out
    )
    assert "no file declares 'Modl'" in line("diff", "-f", file, "--only", "Modl", expect=FAILED).err
    line("apply", "-f", file, "--only", "Modl", "--yes", expect=USAGE)


def test_several_who_apply_at_once_come_to_the_same_end_and_no_fact_is_written_twice(
    line: CommandLine, risk: str, file: Path
) -> None:
    running = [line.start("apply", "-f", file, "--yes") for _ in range(3)]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert line("diff", "-f", file).status == 0
    facts = [entry["fact"]["event"]["@type"].rpartition(".")[2] for entry in line.json("history", f"projects/{risk}")]
    assert sorted(facts) == ["LifecycleSet", "PolicySet", "ProjectCreated", "RoleDefined"]


class _Terminal(io.StringIO):
    """Somebody who types this."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_and_may_say_no(
    line: CommandLine, risk: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal("n\n"))
    line("apply", "-f", file, "--only", "Project", expect=INTERRUPTED)
    line("projects", "get", risk, expect=NOT_FOUND)
    monkeypatch.setattr("sys.stdin", _Terminal("y\n"))
    assert "Apply? [y/N]" in line("apply", "-f", file, "--only", "Project").err
    line("projects", "get", risk)
    line("apply", "-f", file, "--only", "Project")  # Nothing to ask about.


def test_the_past_is_exported_and_compared_with(line: CommandLine, risk: str, file: Path) -> None:
    line("apply", "-f", file, "--yes")
    then = line.json("projects", "get", risk)["revision"]
    line("projects", "update", risk, "--title", "Renamed")
    assert "title: Credit risk" in line("--at", then, "export", risk).out
    assert "title: Renamed" in line("export", risk).out
    told = line("--at", then, "diff", "-f", file, "--only", "Project")
    assert told.out.splitlines()[-1] == "0 to create, 0 to change, 1 unchanged"
    line("--at", then, "apply", "-f", file, "--yes", expect=USAGE)
