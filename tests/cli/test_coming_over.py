"""Versions from a file, models from MLflow, and the history that says when it happened."""

import json
from collections.abc import Iterator, Mapping

import pytest

from modelog.cli.failures import CONFLICT, FAILED, USAGE
from tests.cli.line import CommandLine
from tests.mlflow.fakes import FakeMlflow, serving

ARTIFACT = {"uri": "s3://models/1.onnx", "sha256": "ab" * 32, "sizeBytes": "12", "format": "onnx"}


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    fake = FakeMlflow("first")
    with serving(fake):
        yield fake


def lines(*requests: Mapping[str, object]) -> str:
    return "".join(json.dumps({"artifact": ARTIFACT, **one}) + "\n" for one in requests)


def test_many_versions_come_from_a_file_which_may_be_sent_again(line: CommandLine, project: str) -> None:
    file = line.file("many.jsonl", lines(*({"framework": f"f{n}"} for n in range(30))))
    fraud = f"projects/{project}/models/fraud"
    told = line("versions", "register-many", file, "--model", fraud).out
    assert told.split()[-3:] == [fraud, "30", f"{fraud}/versions/30"]
    listed = line.json("versions", "list", f"{project}/fraud")
    assert [one["framework"] for one in listed] == [f"f{n}" for n in range(30)]
    file.write_text(file.read_text() + "\n" + lines({"parent": f"{project}/fraud", "framework": "late"}))
    answers = line("--json", "versions", "register-many", file, "--model", fraud).out.splitlines()
    again = [json.loads(one) for one in answers]
    assert [one["name"].rpartition("/")[2] for one in again] == [str(n) for n in range(1, 32)]
    assert len(line.json("versions", "list", f"{project}/fraud")) == 31


def test_a_line_that_is_refused_is_told_and_the_others_stay(line: CommandLine, project: str) -> None:
    file = line.file("some.jsonl", lines({}, {"parent": f"{project}/none"}, {"artifact": None}, {}))
    result = line("versions", "register-many", file, "--model", f"{project}/fraud", expect=CONFLICT)
    rows = [row[:3] for row in result.rows()]
    assert rows[1:3] == [
        ["2", f"projects/{project}/models/none", "MODEL_NOT_FOUND"],
        ["3", f"projects/{project}/models/fraud", "INVALID_REQUEST"],
    ]
    assert len(line.json("versions", "list", f"{project}/fraud")) == 2


def test_nothing_is_sent_of_a_file_that_cannot_be_read(line: CommandLine, project: str) -> None:
    for wrong, told in ((lines({}) + "{", "say the model"), ("\n{", "line 2"), ('{"nonsense": 1}\n', "line 1")):
        file = line.file("wrong.jsonl", wrong)
        assert told in line("versions", "register-many", file, expect=USAGE).err
    file = line.file("right.jsonl", lines({}))
    assert line("versions", "register-many", file, "--model", f"{project}/fraud", "--dry-run").rows()[1][1] == "1"
    assert line.json("versions", "list", f"{project}/fraud") == []


def test_models_come_from_mlflow_and_history_says_when_they_were_made(
    line: CommandLine, project: str, mlflow: FakeMlflow
) -> None:
    users = line.file("users.yaml", "ada: users/lovelace\n")
    coming = ("import", "mlflow", "--tracking-uri", mlflow.uri, "--project", project, "--users", users)
    first = line(*coming, expect=FAILED)
    assert first.rows()[:3] == [["IMPORTED", "SKIPPED"], ["model", "2", "1"], ["version", "5", "1"]]
    assert "ARTIFACT_NOT_PROXIED" in first.out
    assert "its signature has no counterpart: 'when' is of type datetime" in first.out
    again = line.json(*coming, expect=FAILED)
    assert again["counts"]["version"] == {"already there": 5, "skipped": 1}
    version = line.json("versions", "get", f"{project}/fraud-model/1")
    assert (version["author"], version["origin"]["id"]) == ("users/lovelace", "Fraud Model/1")
    happened = version["origin"]["happenTime"]
    told = line("history", f"projects/{project}/models/fraud-model/versions/1").rows()
    assert told[0][-1] == "HAPPENED"
    assert told[1][-2:] == [happened[:10], f"{happened[11:19]}Z"]
    assert told[1][1] > happened[:10] or told[1][2] > happened[11:19]
    assert f"happened {happened[:10]} {happened[11:19]}Z" in line("replay").out
    (entry, *_) = line.json("history", f"projects/{project}/models/fraud-model/versions/1")
    assert entry["fact"]["happenedAt"] == happened
    backdated = line.json("history", "--below", f"projects/{project}", "--backdated")
    assert len(backdated) == 2 + 5 + 3
    assert all("happenedAt" in one["fact"] for one in backdated)
    replayed = line("--json", "replay", "--project", project, "--backdated").out.splitlines()
    assert [json.loads(one)["revision"] for one in replayed] == [one["revision"] for one in backdated]
    plain = line("history", f"projects/{project}").rows()
    assert "HAPPENED" not in plain[0]


def test_a_single_thing_of_elsewhere_says_so_too(line: CommandLine, project: str) -> None:
    origin = '{"system": "notes", "id": "fraud-7", "happenTime": "2024-02-03T00:00:00Z"}'
    line("models", "create", project, "old", "--origin", origin, "--tag", "team=risk")
    file = line.file("old.onnx", "weights")
    line("versions", "register", f"{project}/old", file, "--origin", origin, "--tag", "a=b", "--tag", "c=d")
    line("versions", "evaluate", f"{project}/old/1", "holdout", "--metric", "auc=0.9", "--happened", "2024-02-04")
    version = line.json("versions", "get", f"{project}/old/1")
    assert (version["origin"]["id"], version["tags"]) == ("fraud-7", {"a": "b", "c": "d"})
    told = line.json("history", "--below", f"projects/{project}/models/old")
    assert [one["fact"]["happenedAt"][:10] for one in told] == ["2024-02-03", "2024-02-03", "2024-02-04"]


def test_only_so_much_comes_as_was_asked_for(line: CommandLine, project: str, mlflow: FakeMlflow) -> None:
    coming = ("import", "mlflow", "--tracking-uri", mlflow.uri, "--project", project)
    dry = line.json(*coming, "--dry-run", "--model", "Fraud*", "--rename", "Fraud Model=cards")
    assert [(one["source"], one["outcome"]) for one in dry["lines"]][:1] == [("Fraud Model", "would be imported")]
    assert {one["name"] for one in line.json("models", "list", project)} == {f"projects/{project}/models/fraud"}
    line(*coming, "--model", "Fraud*", "--rename", "Fraud Model=cards", "--higher-is-better", "lift")
    version = line.json("versions", "get", f"{project}/cards/1")
    assert version["evaluations"]["mlflow"]["metrics"]["lift"] | {"unit": ""} == {
        "value": 1.5,
        "higherIsBetter": True,
        "unit": "",
    }
    line(*coming, "--model", "Fraud*", "--known-as", "http://old.example.org")
    origins = {one["origin"]["uri"] for one in line.json("versions", "list", f"{project}/fraud-model")}
    assert origins == {"http://old.example.org"}


def test_what_cannot_be_asked_says_what_to_do(line: CommandLine, project: str, mlflow: FakeMlflow) -> None:
    assert "MLFLOW_TRACKING_URI" in line("import", "mlflow", "--project", project, expect=USAGE).err
    told = line("import", "mlflow", "--tracking-uri", "databricks", "--project", project, expect=FAILED).err
    assert "http://host:5000" in told
    users = line.file("users.yaml", "- ada\n")
    wrong = line("import", "mlflow", "--tracking-uri", mlflow.uri, "--project", project, "--users", users, expect=USAGE)
    assert "users/ada" in wrong.err
    empty = FakeMlflow()
    with serving(empty):
        result = line("import", "mlflow", "--tracking-uri", empty.uri, "--project", project, expect=FAILED)
    assert "RESOURCE_DOES_NOT_EXIST" in result.err
