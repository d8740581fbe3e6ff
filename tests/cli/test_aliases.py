"""`modelog aliases` and `modelog projects update`, against a running registry."""

from modelog.cli.failures import CONFLICT, USAGE
from tests.cli.line import CommandLine


def test_aliases_are_listed_swapped_rolled_back_and_their_history_told(line: CommandLine, project: str) -> None:
    model, file = f"{project}/fraud", line.file("m.onnx", "weights")
    for _ in range(3):
        line("--as", "users/ada", "versions", "register", model, file)
    line("aliases", "assign", model, "champion", f"{model}/1")
    line("aliases", "assign", model, "champion", f"{model}/2", "--reason", "better")
    line("aliases", "assign", model, "challenger", f"{model}/3")
    assert line.json("aliases", "swap", model, "champion", "challenger")["version"].endswith("/3")
    titles, challenger, champion = line("aliases", "list", model).rows()
    assert titles[:2] == ["ALIAS", "VERSION"]
    assert (challenger[:3], champion[:3]) == (["challenger", f"{model}/2", "3"], ["champion", f"{model}/3", "2"])
    assert line.json("aliases", "list", model)["champion"]["formerVersions"] == ["1", "2"]
    back = line.json("aliases", "rollback", model, "champion", "--reason", "worse")
    assert (back["version"][-2:], back["displacedVersion"][-2:]) == ("/2", "/3")
    line("aliases", "rollback", model, "champion")
    assert "has pointed to nothing else" in line("aliases", "rollback", model, "champion", expect=CONFLICT).err
    told = line("aliases", "history", model, "--alias", "champion").rows()
    assert [row[4:7] for row in told[1:]] == [
        ["rolled-back", "2", "1"], ["rolled-back", "3", "2"], ["swapped", "2", "3"], ["assigned", "1", "2"],
        ["assigned", "-", "1"],
    ]  # fmt: skip
    assert told[2][-1] == "worse"
    assert "AliasesSwapped alias=champion" in line("history", f"projects/{project}/models/fraud").out
    first = line.json("aliases", "history", model)[-1]
    assert [one["toVersion"][-2:] for one in line.json("--at", first["revision"], "aliases", "history", model)] == [
        "/1"
    ]


def test_a_project_is_described_anew(line: CommandLine, project: str) -> None:
    line("projects", "update", project, "--title", "Credit risk")
    assert line.json("projects", "get", project)["title"] == "Credit risk"
    assert "say what to change" in line("projects", "update", project, expect=USAGE).err
