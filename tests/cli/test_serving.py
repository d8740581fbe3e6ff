"""Environments, endpoints, rollouts and serving intervals, on real inference servers."""

import json

import pytest

from modelog.cli.failures import FAILED, USAGE
from tests.cli.line import CommandLine
from tests.deployment import models


@pytest.fixture
def endpoint(line: CommandLine, project: str) -> str:
    """An endpoint for versions in testing, and version 1 there; its short name."""
    model = line.folder / "classifier.onnx"
    model.write_bytes(models.classifier())
    line("versions", "register", f"{project}/fraud", model)
    line("stages", "change", f"{project}/fraud/1", "testing")
    line("environments", "define", project, "lab", "--admit", "testing", "--setting", "threads=1")
    line("endpoints", "create", project, "eu", f"{project}/lab")
    return f"{project}/eu"


def test_an_environment_and_an_endpoint_are_shown(line: CommandLine, project: str, endpoint: str) -> None:
    assert "testing" in line("environments", "list", project).out
    assert line.json("environments", "get", f"{project}/lab")["driverSettings"] == {"threads": "1"}
    assert line.json("endpoints", "get", endpoint)["address"].startswith("http://127.0.0.1:")
    assert "active" in line("endpoints", "list", project).out
    line("endpoints", "remove", endpoint)


def test_a_rollout_is_watched_to_its_good_end(line: CommandLine, project: str, endpoint: str) -> None:
    told = line("rollouts", "start", endpoint, f"{project}/fraud/1", "--recreate", "--ready", "60s", "--watch").out
    states = [one.split(" · ")[1] for one in told.splitlines()]
    assert states[-1] == "succeeded"
    assert f"{project}/fraud/1 100 %" in told.splitlines()[-1]
    assert f"{project}/fraud/1 100 %" in line("endpoints", "list", project).out
    (interval,) = line.json("serving", "intervals", project)
    assert (interval["percent"], interval["requestedBy"]) == (100, "users/developer")
    assert line.json("serving", "intervals", project, "--to", "2000-01-01") == []
    seen = [json.loads(one) for one in line("--json", "rollouts", "watch", f"{endpoint}/1").out.splitlines()]
    assert [one["state"] for one in seen] == ["ROLLOUT_STATE_SUCCEEDED"]
    assert "succeeded" in line("rollouts", "list", endpoint).out


def test_a_rollout_that_fails_says_why_and_is_a_failure(line: CommandLine, project: str, endpoint: str) -> None:
    line("versions", "register", f"{project}/fraud", line.file("broken.onnx", "no model"))
    line("stages", "change", f"{project}/fraud/2", "testing")
    told = line("rollouts", "start", endpoint, f"{project}/fraud/2", "--recreate", "--watch", expect=FAILED).out
    assert "failed" in told.splitlines()[-1]
    assert "ONNX" in told.splitlines()[-1]


def test_the_way_to_take_over_is_said_in_options(line: CommandLine, project: str, endpoint: str) -> None:
    begin = ["rollouts", "start", endpoint, f"{project}/fraud/1"]
    assert "say how it takes over" in line(*begin, expect=USAGE).err
    assert "say how it takes over" in line(*begin, "--recreate", "--canary", "10", expect=USAGE).err
    assert "is no step like 5" in line(*begin, "--canary", "ten", expect=USAGE).err
    line(*begin, "--blue-green", "--step", "5m", "--max-error-rate", "0.1", "--dry-run")
    line(*begin, "--canary", "10,50,100", "--step", "1h30m", "--pause", "--min-requests", "20")
    strategy = line.json("rollouts", "get", f"{endpoint}/1")["strategy"]
    steps = strategy["canary"]["steps"]
    assert [(step["percent"], step["duration"], step["pause"]) for step in steps] == [
        (percent, "5400s", True) for percent in (10, 50, 100)
    ]
    assert strategy["canary"]["analysis"]["minRequests"] == "20"
    line("rollouts", "rollback", endpoint, "--reason", "enough")
