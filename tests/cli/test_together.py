"""Threads, the inbox, teams, watches and webhooks on the command line, against a running registry."""

from pathlib import Path

import pytest

from modelog.cli.failures import CONFLICT, DENIED, FAILED, USAGE
from modelog.cli.render import console
from modelog.cli.threads import markdown
from tests.cli.line import CommandLine

ADA, BEN = ("--as", "users/ada"), ("--as", "users/ben")
EVIL = "hello \x1b]0;owned\x07 [click](javascript:x) \x1b[2J *bold*"


@pytest.fixture
def version(line: CommandLine, project: str) -> str:
    model: Path = line.file("model.onnx", "weights")
    line(*ADA, "versions", "register", f"{project}/fraud", model)
    return f"{project}/fraud/1"


def test_people_talk_about_a_version_until_it_is_settled(line: CommandLine, project: str, version: str) -> None:
    line("teams", "define", project, "risk", "--member", "users/ben")
    said = line.json(*ADA, "comment", version, "# Old limits\nDoes @teams/risk agree?", "--field", "artifact")
    name = f"{project}/fraud/1"
    assert said["mentions"] == ["teams/risk"]
    titles, row = line("threads", "list", version).rows()
    assert (titles[0], row[0]) == ("NAME", f"projects/{project}/models/fraud/threads/1")
    waiting = line.json(*BEN, "inbox", project)
    assert [(one["kind"], one["explanation"]) for one in waiting] == [
        ("TASK_KIND_MENTIONED", "users/ada speaks to you: Old limits")
    ]
    assert waiting[0]["command"] == f"modelog threads show {name}"
    shown = line(*BEN, "threads", "show", name).out
    assert "Does @teams/risk agree?" in shown
    assert f"open · about projects/{project}/models/fraud/versions/1, field artifact" in shown
    assert line.json(*BEN, "inbox", project) == []
    line(*BEN, "threads", "reply", name, "yes")
    line(*BEN, "threads", "edit", name, 2, "yes, it does")
    line(*ADA, "threads", "edit", name, 2, "no", expect=DENIED)
    line(*ADA, "threads", "resolve", name)
    line(*ADA, "threads", "resolve", name)
    thread = line.json("threads", "show", name)
    assert [one["body"] for one in thread["comments"]] == ["# Old limits\nDoes @teams/risk agree?", "yes, it does"]
    assert "(edited)" in line("threads", "show", name, "--keep-unread").out
    assert line.json("threads", "list", f"{project}/fraud", "--open") == []
    assert len(line.json("threads", "list", f"{project}/fraud", "--resolved")) == 1
    line(*BEN, "threads", "withdraw", name, 2)
    assert "withdrawn" in line("threads", "show", name).out
    line("threads", "reopen", name)


def test_what_others_wrote_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(markdown(EVIL))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\\x1b]0;owned" in out
    assert "bold" in out


def test_activity_of_what_one_watches(line: CommandLine, project: str, version: str) -> None:
    line(*BEN, "watch", "set", f"{project}/fraud", "--type", "StageChanged")
    line(*ADA, "stages", "change", version, "testing")
    line(*ADA, "threads", "open", f"{project}/fraud", "--title", "t", "--body", "b")
    _titles, row = line(*BEN, "activity", project).rows()
    assert row[3:5] == ["StageChanged", "from_stage=development"] or "StageChanged" in row
    assert f"projects/{project}/models/fraud" in str(line.json(*BEN, "watch", "list", project))
    line(*BEN, "watch", "remove", f"{project}/fraud")
    assert line.json(*BEN, "activity", project) == []
    kinds = [one["fact"]["event"]["@type"].rpartition(".")[2] for one in line.json(*ADA, "activity", project)]
    assert kinds[:2] == ["ThreadOpened", "StageChanged"]


def test_webhooks_are_created_and_refused_by_their_address(line: CommandLine, project: str) -> None:
    made = line("webhooks", "create", project, "chat", "https://hooks.example.com/in", "--type", "StageChanged")
    assert "secret whsec_" in made.out
    assert "not shown again" in made.err
    line("webhooks", "create", project, "bad", "https://169.254.169.254/", expect=USAGE)
    line("webhooks", "create", project, "chat", "https://hooks.example.com/in", expect=CONFLICT)
    hook = f"{project}/chat"
    line("webhooks", "update", hook, "--title", "Chat")
    shown = line.json("webhooks", "show", hook)
    assert (shown["settings"]["title"], shown["settings"]["url"]) == ("Chat", "https://hooks.example.com/in")
    assert "whsec" not in str(shown)
    line("webhooks", "pause", hook)
    line("webhooks", "resume", hook)
    assert line.json("webhooks", "rotate", hook, "--overlap", "60s")["secret"].startswith("whsec_")
    line("webhooks", "redeliver", hook, "--from", 1, "--to", 2)
    assert line.json("webhooks", "deliveries", hook) == []
    line("webhooks", "remove", hook)
    line("webhooks", "test", hook, expect=CONFLICT)
    assert [one["state"] for one in line.json("webhooks", "list", project)] == ["WEBHOOK_STATE_REMOVED"]


def test_a_trial_that_is_not_taken_fails(line: CommandLine, project: str) -> None:
    line("webhooks", "create", project, "none", "https://receiver.invalid/")
    assert "no address" in line("webhooks", "test", f"{project}/none", expect=FAILED).out
