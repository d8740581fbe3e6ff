"""A place in the log kept for consumers, by the command line."""

import json

from modelog.cli.failures import FAILED
from tests.cli.line import CommandLine


def test_facts_are_consumed_by_a_command_that_may_fail(line: CommandLine, project: str) -> None:
    name = f"{project}/warehouse"
    line("subscriptions", "create", project, "warehouse", "--from", "1", "--type", "ModelCreated", "--title", "Lake")
    taken = line.folder / f"{project}.jsonl"
    failed = line("subscriptions", "consume", name, "--exec", "false", expect=FAILED)
    assert "1 facts come again" in failed.err
    line("subscriptions", "consume", name, "--exec", f"tee {taken}", "--consumer", "loader")
    (event,) = [json.loads(one) for one in taken.read_text().splitlines()]
    assert event["type"] == "modelog.registry.v1.ModelCreated"
    assert event["subject"] == f"projects/{project}/models/fraud"
    assert line("subscriptions", "consume", name).out == ""
    progress = line.json("subscriptions", "lag", name)
    assert progress["batches"] == []
    assert progress["lag"] == "0"
    line("subscriptions", "rewind", name, "--from", "1")
    assert "ModelCreated" in line("subscriptions", "consume", name).out
    titles, row = line("subscriptions", "list", project).rows()
    assert titles[:3] == ["NAME", "STATE", "TITLE"]
    assert "Lake" in row
    line("subscriptions", "remove", name)
