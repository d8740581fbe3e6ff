"""`modelog status` and services that cannot be reached."""

import json
import time
from pathlib import Path

import pytest

from modelog.cli.failures import UNAVAILABLE
from suite.folder import free_port
from suite.suite import Suite
from tests.cli.line import CommandLine

SERVICES = ["registry", "deployment", "monitoring", "archive"]


def test_all_services_are_shown(line: CommandLine, project: str) -> None:
    titles, *rows = line("status").rows()
    assert titles == ["SERVICE", "STATE", "POSITION", "HEAD", "LAG", "QUARANTINED", "DRIFT", "VERSION", "SINCE"]
    assert [(row[0], row[1]) for row in rows] == [(name, "serving") for name in SERVICES]
    told = line.json("status")
    assert list(told) == SERVICES
    assert int(told["registry"]["head"]) >= 2


def test_a_service_that_is_away_is_said_so(suite: Suite, alone: CommandLine) -> None:
    registry = suite.address("registry")
    description = {"services": {"registry": {"address": registry}, "archive": {"address": f"127.0.0.1:{free_port()}"}}}
    (alone.folder / ".modelog").mkdir()
    (alone.folder / ".modelog" / "suite.json").write_text(json.dumps(description))
    told = alone("status", expect=UNAVAILABLE).out
    assert told.splitlines()[1].split()[:2] == ["registry", "serving"]
    assert "archive     unreachable" in told
    assert "set MODELOG_MONITORING=host:port" in told
    assert "error" in alone.json("status", expect=UNAVAILABLE)["deployment"]


def test_nowhere_to_look_is_said_in_one_sentence(alone: CommandLine) -> None:
    told = alone("projects", "list", expect=UNAVAILABLE)
    assert told.out == ""
    assert told.err.startswith(
        "error: no address of the registry service: start the embedded suite here with `make up`"
    )
    assert len(told.err.splitlines()) == 1


def test_a_service_that_does_not_answer_is_given_up_soon(alone: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELOG_ADDRESS", f"127.0.0.1:{free_port()}")
    started = time.monotonic()
    told = alone("projects", "list", expect=UNAVAILABLE)
    assert time.monotonic() - started < 10
    assert "is the suite running (`make up`)?" in told.err
    failure = json.loads(alone("--json", "projects", "list", expect=UNAVAILABLE).err)["error"]
    assert (failure["code"], failure["reason"]) == ("UNAVAILABLE", "UNAVAILABLE")


def test_the_environment_names_the_actor(line: CommandLine, project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELOG_ACTOR", "users/eve")
    line("models", "tag", f"{project}/fraud", "a", "b")
    assert line.json("history", f"projects/{project}/models/fraud")[-1]["fact"]["actor"]["id"] == "users/eve"


def test_a_suite_is_found_from_a_folder_below(line: CommandLine, project: str) -> None:
    below = line.folder / "deep" / "below"
    below.mkdir(parents=True, exist_ok=True)
    assert CommandLine(below).json("projects", "get", project)["name"] == f"projects/{project}"
    assert not Path(below / ".modelog").exists()
