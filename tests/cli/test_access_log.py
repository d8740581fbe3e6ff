"""Who was refused and who read history, as a person sees it."""

from modelog.cli.failures import DENIED, USAGE
from tests.cli.line import CommandLine


def test_who_read_history_and_who_was_refused(line: CommandLine, project: str) -> None:
    line("--as", "users/eve", "history", f"projects/{project}")
    line("--as", "users/eve", "--at", "1", "projects", "list")
    line("--as", "x", "--at", "1", "projects", "get", project, expect=DENIED)
    titles, newest, *rows = line("access", "log").rows()
    assert titles == ["TIME", "WHO", "FOR", "VERDICT", "REASON", "METHOD", "RESOURCES", "CLIENT"]
    assert newest[2:6] == ["users/developer", "allowed", "DEVELOPMENT", "ListAccessRecords"]
    assert rows[0][2:6] == ["unknown", "refused", "ACTOR_FORMAT", "GetProject"]
    assert rows[1][2:6] == ["users/eve", "allowed", "DEVELOPMENT", "ListProjects"]
    assert rows[2][2:7] == ["users/eve", "allowed", "DEVELOPMENT", "GetHistory", project]
    assert rows[2][7].startswith("ipv4:")


def test_only_what_was_asked_for(line: CommandLine, project: str) -> None:
    line("--as", "users/eve", "history", f"projects/{project}")
    line("--as", "x", "projects", "get", project, expect=DENIED)
    (mine,) = line.json("access", "log", f"projects/{project}", "--principal", "users/eve")
    assert mine["record"]["principal"]["id"] == "users/eve"
    assert mine["record"]["method"] == "modelog.archive.v1.ArchiveService/GetHistory"
    refused = line.json("access", "log", "--refused", "--service", "registry", "--limit", "1")
    assert [one["record"]["reason"] for one in refused] == ["ACTOR_FORMAT"]
    time = mine["record"]["recordedAt"]
    found = line.json("access", "log", "--since", time, "--method", "GetHistory", "--oldest-first")
    assert found[0] == mine
    assert mine not in line.json("access", "log", "--until", time)
    assert line.json("access", "log", "--reason", "NEVER") == []
    assert "its own options say" in line("--at", "1", "access", "log", expect=USAGE).err
