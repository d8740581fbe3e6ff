"""Searching, and lists with filters and orders, on the command line."""

from modelog.cli.failures import USAGE
from tests.cli.line import CommandLine


def test_versions_are_found_by_words_and_by_conditions(line: CommandLine, project: str) -> None:
    model = line.file("model.onnx", "weights")
    for trees, said in ((100, "Detects card fraud early"), (300, "Detects stolen cards")):
        register = ("versions", "register", f"{project}/fraud", model)
        line("--as", "users/ada", *register, "--param", f"trees={trees}", "--summary", said)
    line("versions", "tag", f"{project}/fraud/2", "team", "risk")
    found = line.json("search", "card", "detecting", "--in", project)
    assert {one["name"].rpartition(f"{project}/")[2] for one in found} == {
        "models/fraud/versions/1", "models/fraud/versions/2",
    }  # fmt: skip
    assert found[0]["version"]["framework"] == ""
    titles, *rows = line("search", "early", "--in", f"{project}/fraud").rows()
    assert titles == ["NAME", "STAGE", "OR", "TITLE", "TEXT"]
    assert rows[0][0] == f"projects/{project}/models/fraud/versions/1"
    assert "*early*" in rows[0]
    models = line.json("search", "fraud", "--kind", "model", "--in", project)
    assert [one["name"] for one in models] == [f"projects/{project}/models/fraud"]
    filtered = ("--filter", "hyperparameters.trees > 200 tags:team")
    assert len(line.json("search", "--in", project, *filtered)) == 1
    assert [one["name"][-1] for one in line.json("versions", "list", f"{project}/-", *filtered)] == ["2"]
    ordered = line.json("versions", "list", f"{project}/fraud", "--order-by", "hyperparameters.trees desc")
    assert [one["name"][-1] for one in ordered] == ["2", "1"]
    assert len(line.json("models", "list", project, "--filter", "owners:users/ada", "--order-by", "title")) == 1
    assert line.json("projects", "list", "--filter", f'title = "Project {project}"')[0]["name"] == f"projects/{project}"
    wrong = line("versions", "list", f"{project}/fraud", "--filter", "stag = x", expect=USAGE)
    assert "at character 1: there is no field 'stag'; did you mean stage?" in wrong.err
    assert "write risk or risk/fraud" in line("search", "x", "--in", "a/b/c", expect=USAGE).err
