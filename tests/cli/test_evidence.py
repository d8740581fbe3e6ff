"""History, replay and audit, against a running archive; verifying needs nothing that runs."""

import asyncio
import json
import signal
import tarfile
import time
from pathlib import Path

import asyncpg
import pytest

from modelog.cli.failures import FAILED, INTERRUPTED, UNVERIFIED, USAGE
from modelog.sdk.settings import SERVICES
from suite.suite import Suite
from tests.cli.line import CommandLine


@pytest.fixture
def bundle(line: CommandLine, project: str) -> Path:
    """A bundle of the whole log so far, with the proof of the project's own fact inside."""
    revision = line.json("projects", "get", project)["revision"]
    line("audit", "checkpoint", "--covering", revision, "--wait")
    path = line.folder / f"{project}.tar"
    line("audit", "export", path, "--proof", revision)
    line.file("log.vkey", line("audit", "key").out)
    return path


def test_history_of_a_resource_and_of_all_below_it(line: CommandLine, project: str) -> None:
    titles, row = line("history", f"projects/{project}").rows()
    assert titles == ["REVISION", "TIME", "RESOURCE", "FACT", "ACTOR"]
    assert row[3] == f"projects/{project}"
    assert "ProjectCreated" in row
    assert row[-1] == "users/developer"
    below = line.json("history", f"projects/{project}", "--below")
    assert [one["eventType"].rpartition(".")[2] for one in below] == ["ProjectCreated", "ModelCreated"]
    assert below[1]["fact"]["event"]["details"]["owners"] == ["users/ada"]
    newest, *_ = line.json("history", "--newest-first", "--limit", "1", "--project", project)
    assert newest == below[1]
    assert line.json("history", f"projects/{project}", "--below", "--type", "ModelCreated") == [below[1]]


def test_history_tells_the_difference_that_each_fact_made(line: CommandLine, project: str) -> None:
    model = f"projects/{project}/models/fraud"
    line("models", "tag", f"{project}/fraud", "team", "risk")
    told = line("history", model, "--diff").out
    assert "tags.team" in told
    first, second = [json.loads(one) for one in line("--json", "history", model, "--diff").out.splitlines()]
    assert ["details.title", "", "Fraud"] in [[one["path"], one["before"], one["after"]] for one in first["changes"]]
    assert second["changes"] == [{"path": "tags.team", "before": "", "after": "risk"}]


def test_why_names_what_led_to_a_fact(line: CommandLine, project: str) -> None:
    line("models", "tag", f"{project}/fraud", "team", "risk")
    told = line("why", f"projects/{project}/models/fraud").out.splitlines()
    assert f"projects/{project}/models/fraud: TagSet" in told[0]
    assert f"after projects/{project}/models/fraud: ModelCreated" in told[1]


def test_all_stores_are_compared(line: CommandLine, project: str) -> None:
    revision = line.json("projects", "get", project)["revision"]
    line("audit", "checkpoint", "--covering", revision, "--wait")
    told = line.json("audit", "scrub")
    assert (told["done"], told["findings"]) == (True, [])
    assert int(told["summary"]["size"]) >= int(revision)
    assert {service: one["findingCount"] for service, one in told["views"].items()} == dict.fromkeys(SERVICES, "0")
    assert line("audit", "scrub").out.count("the same") == 1 + len(SERVICES)
    assert line.json("audit", "scrub", "--last")["done"]


async def test_a_row_that_somebody_edited_is_named_with_its_service(
    suite: Suite, line: CommandLine, project: str
) -> None:
    model = f"projects/{project}/models/fraud"
    connection = await asyncpg.connect(suite.postgres.url)
    read = "select body from registry.model where name = $1"
    async with asyncio.timeout(10):
        while (before := await connection.fetchval(read, model)) is None:
            await asyncio.sleep(0.02)
    edit = "update registry.model set body = $2 where name = $1"
    try:
        await connection.execute(edit, model, before + b"\x00")
        told = line("audit", "scrub", expect=UNVERIFIED).out
        assert "registry.model" in told
        assert told.count("DIFFERENT") == 1
        assert f"not what the facts make it: body (name {model})" in " ".join(told.split())
        assert "1 rows of its views are not what the log makes them" in line("status", expect=FAILED).out
        assert "DIFFERENT" in line("audit", "scrub", "--last", expect=UNVERIFIED).out
    finally:
        await connection.execute(edit, model, before)
        await connection.close()
    assert "DIFFERENT" not in line("audit", "scrub").out
    line("status")


def test_replay_reads_the_facts_in_order(line: CommandLine, project: str) -> None:
    everything = [json.loads(one) for one in line("--json", "replay").out.splitlines()]
    assert [int(one["revision"]) for one in everything] == list(range(1, len(everything) + 1))
    mine = line("replay", "--project", project).out.splitlines()
    assert [one.split()[4] for one in mine] == ["ProjectCreated", "ModelCreated"]
    second = everything[1]["revision"]
    assert [json.loads(one) for one in line("--json", "replay", "--from", second, "--to", second).out.splitlines()] == [
        everything[1]
    ]
    assert "its own options say" in line("--at", "1", "replay", expect=USAGE).err


def test_replay_follows_what_happens_until_it_is_interrupted(line: CommandLine, project: str) -> None:
    process = line.start("--json", "replay", "--follow", "--project", project)
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline())["eventType"] for _ in range(2)]
    line("models", "tag", f"{project}/fraud", "team", "risk")
    assert json.loads(process.stdout.readline())["fact"]["event"]["key"] == "team"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == INTERRUPTED
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert first == ["modelog.registry.v1.ProjectCreated", "modelog.registry.v1.ModelCreated"]
    process.stdout.close()
    process.stderr.close()


async def test_replay_goes_on_behind_a_restart_of_the_archive(line: CommandLine, suite: Suite, project: str) -> None:
    process = line.start("--json", "replay", "--follow", "--project", project)
    assert process.stdout is not None
    revisions = [json.loads(await asyncio.to_thread(process.stdout.readline))["revision"] for _ in range(2)]
    await suite.restart("archive")
    tagged = line.json("models", "tag", f"{project}/fraud", "team", "risk")
    revisions.append(json.loads(await asyncio.to_thread(process.stdout.readline))["revision"])
    assert revisions == sorted(set(revisions), key=int)
    assert revisions[-1] == tagged["revision"]
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(process.communicate, timeout=10)
    assert (out, err.strip()) == ("", "")


def test_a_bundle_is_verified_where_nothing_runs(bundle: Path, line: CommandLine, alone: CommandLine) -> None:
    key = f"@{line.folder / 'log.vkey'}"
    told = alone("audit", "verify", bundle, "--key", key).out
    assert "verified" in told
    assert "1 proofs" in told
    report = alone.json("audit", "verify", bundle, "--key", key)
    assert (report["ok"], report["findings"]) == (True, [])
    seen = alone.file("seen", line("audit", "checkpoint").out)
    alone("audit", "verify", bundle, "--key", Path(key[1:]).read_text(), "--seen", seen)


def test_a_changed_bundle_is_found_out(bundle: Path, line: CommandLine, alone: CommandLine) -> None:
    content = bundle.read_bytes()
    with tarfile.open(bundle) as tar:
        member = next(one for one in tar.getmembers() if one.name.startswith("log/entries-"))
    place = member.offset_data + 40
    bundle.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    told = alone("audit", "verify", bundle, "--key", f"@{line.folder / 'log.vkey'}", expect=UNVERIFIED).out
    assert "NOT verified" in told
    assert "ENTRY_CHANGED" in told
    other = "modelog.local/lifecycle+da4d9634+AcgZmZcRnQICtj12UrWmVE1ePO5b94XgsiOHHkUgwgd/"
    assert alone.json("audit", "verify", bundle, "--key", other, expect=UNVERIFIED)["ok"] is False
    assert "does not exist" in alone("audit", "verify", "missing.tar", "--key", other, expect=USAGE).err


def test_one_fact_is_proved(line: CommandLine, project: str, bundle: Path, alone: CommandLine) -> None:
    revision = line.json("projects", "get", project)["revision"]
    line("audit", "proof", revision, "--out", alone.folder)
    key = f"@{line.folder / 'log.vkey'}"
    proof, fact = (alone.folder / f"{revision}.{kind}" for kind in ("tlog-proof", "fact"))
    assert "verified" in alone("audit", "verify-fact", fact, proof, "--key", key).out
    assert line("audit", "proof", revision).out.startswith("c2sp.org/tlog-proof@v1\nindex ")
    fact.write_bytes(fact.read_bytes() + b"\x00")
    assert "BAD_PROOF" in alone("audit", "verify-fact", fact, proof, "--key", key, expect=UNVERIFIED).out


def test_a_broken_export_leaves_no_file(line: CommandLine, project: str) -> None:
    path = line.folder / "never.tar"
    line("audit", "export", path, "--from", "2", "--to", "1", expect=USAGE)
    assert list(line.folder.glob("*never*")) == []


def test_roots_and_keys_are_shown(line: CommandLine, bundle: Path) -> None:
    note = line("audit", "checkpoint").out
    size = note.splitlines()[1]
    assert line.json("audit", "checkpoint", "--size", size)["note"] == note
    assert f"checkpoints/{size}" in line("audit", "checkpoints").out
    assert line("audit", "consistency", "1", "--to-size", size).out.startswith("from    size 1, root ")
    assert line.json("audit", "notary")["state"] == "NOTARY_STATE_SIGNING"


def test_a_retired_version_becomes_a_record_that_holds(line: CommandLine, project: str) -> None:
    line("versions", "register", f"{project}/fraud", line.file("model.onnx", "weights"))
    line("versions", "retire", f"{project}/fraud/1")
    deadline = time.monotonic() + 30
    while "sealed" not in line("records", "list", project).out:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (record,) = line.json("records", "list", project)
    assert "intact" in line("records", "verify", record["name"]).out
    assert line.json("records", "get", record["name"])["version"].endswith("versions/1")
    line("records", "retry", record["name"], expect=4)


def test_holds_are_placed_and_released(line: CommandLine, project: str) -> None:
    line(
        "holds",
        "place",
        project,
        "case-1",
        f"projects/{project}/models/fraud",
        "--title",
        "Case",
        "--authority",
        "court",
    )
    assert "active" in line("holds", "list", project).out
    line("holds", "release", f"{project}/case-1")
    assert line.json("holds", "get", f"{project}/case-1")["state"] == "HOLD_STATE_RELEASED"
