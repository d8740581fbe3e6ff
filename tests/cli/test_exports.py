"""Facts and states as files, from a running suite; read back by DuckDB, verified without any server."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from modelog.cli.failures import FAILED, UNVERIFIED, USAGE
from tests.cli.line import CommandLine

# Where an export is killed, as code that runs before it.
KILLED = {
    "in a file": "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)",
    "before the commit": "Folder.commit = lambda *_: os.kill(os.getpid(), 9)",
    "before the manifest": "put = Folder._put\n"
    "Folder._put = lambda self, name, content: put(self, name, content)"
    " if name != 'manifest.json' else os.kill(os.getpid(), 9)",
    "behind the manifest": "clear = Folder.clear\n"
    "Folder.clear = lambda self, manifest: clear(self, manifest) if manifest is None or not manifest.files[-1].path in"
    " self.__dict__.setdefault('new', set()) else os.kill(os.getpid(), 9)\n"
    "add = Folder.add\n"
    "def adding(self, name, *rest):\n"
    "    self.__dict__.setdefault('new', set()).add(name)\n"
    "    return add(self, name, *rest)\n"
    "Folder.add = adding",
}
LEAVES_FILES = ("in a file", "before the commit", "before the manifest")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def asked(query: str) -> list[tuple[Any, ...]]:
    relation = duckdb.sql(query)
    assert relation is not None
    return relation.fetchall()


def wait_for(line: CommandLine, resource: str, kind: str) -> None:
    """Until a reaction has recorded such a fact."""
    for _ in range(100):
        if line.json("history", resource, "--type", kind):
            return
        time.sleep(0.1)
    raise AssertionError(f"no {kind} of {resource}")


def rows_of(out: Path, what: str = "count(*)", where: str = "true") -> list[tuple[Any, ...]]:
    """What DuckDB reads of an export of facts."""
    pattern = f"{out}/facts/**/*.parquet"
    query = f"select {what} from read_parquet('{pattern}', hive_partitioning = true) where {where}"
    return asked(query)


def test_facts_grow_by_what_is_new_and_are_read_by_duckdb(line: CommandLine, project: str, out: Path) -> None:
    first = line.json("export", "facts", out)
    assert first["newRows"] == first["rows"] == int(first["position"])
    (found,) = rows_of(out, "count(*), min(revision), max(revision), count(distinct revision)")
    assert found == (first["rows"], 1, first["rows"], first["rows"])
    line("models", "tag", f"{project}/fraud", "team", "risk", "--reason", "why not")
    second = line.json("export", "facts", out)
    assert 1 <= second["newRows"] < second["rows"]
    assert line.json("export", "facts", out)["newRows"] == 0
    columns = (
        "resource, service, type, actor, reason like 'text:%', json_extract_string(event, '$.value'), day = time::date"
    )
    (tagged,) = rows_of(out, columns, f"project = 'projects/{project}' and type like '%TagSet'")
    model, kind = f"projects/{project}/models/fraud", "modelog.registry.v1.TagSet"
    assert tagged == (model, "registry", kind, "users/developer", True, "risk", True)
    ((newest,),) = asked(f"select epoch(max(time)) from read_parquet('{out}/facts/**/*.parquet')")
    assert abs(time.time() - newest) < 300


@pytest.mark.parametrize("form", ["parquet", "cloudevents", "jsonl"])
def test_every_form_verifies_offline(line: CommandLine, alone: CommandLine, project: str, out: Path, form: str) -> None:
    line("keys", "make", out.parent / "exporter")
    line("export", "facts", out, "--format", form, "--key", out.parent / "exporter")
    vkey = out.parent / "log.vkey"
    vkey.write_text(line("audit", "key").out)
    given = ("--log-key", f"@{vkey}", "--key", out.parent / "exporter.pub")
    report = alone.json("export", "verify", out, *given)
    assert (report["ok"], report["notes"], report["findings"]) == (True, [], [])
    assert report["size"] == report["entries"] == report["to_revision"]
    line("models", "tag", f"{project}/fraud", "team", "risk")
    refused = line("export", "facts", out, "--format", form, expect=FAILED)
    assert "give the key again" in refused.err
    line("export", "facts", out, "--format", form, "--key", out.parent / "exporter")
    later = alone.json("export", "verify", out, *given)
    assert later["ok"]
    assert later["size"] > report["size"]
    line("keys", "make", out.parent / "other")
    wrong = alone.json("export", "verify", out, "--key", out.parent / "other.pub", expect=UNVERIFIED)
    assert [one["code"] for one in wrong["findings"]] == ["BAD_SIGNATURE"]


def test_a_selection_verifies_fact_by_fact(line: CommandLine, alone: CommandLine, project: str, out: Path) -> None:
    line("export", "facts", out, "--project", project, "--format", "jsonl")
    lines = [json.loads(one) for path in out.rglob("*.jsonl") for one in path.read_text().splitlines()]
    assert sorted(one["type"].rpartition(".")[2] for one in lines) == ["ModelCreated", "ProjectCreated"]
    assert lines[0]["event"]
    report = alone.json("export", "verify", out)
    assert report["ok"]
    assert "nothing was held against the signed root" in report["notes"][-1]
    other = line("export", "facts", out, "--format", "jsonl", expect=FAILED)
    assert "choose another folder" in other.err


def test_what_is_no_export_is_left_alone(line: CommandLine, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert "neither empty nor an export" in line("export", "facts", out, expect=FAILED).err
    assert "neither empty nor an export" in line("export", "views", out, expect=FAILED).err
    assert [one.name for one in out.iterdir()] == ["thesis.txt"]
    assert "--at is for states" in line("--at", "1", "export", "facts", out, expect=USAGE).err


def test_views_are_tables_now_and_then(line: CommandLine, alone: CommandLine, project: str, out: Path) -> None:
    before = line.json("models", "get", f"{project}/fraud")["revision"]
    line("models", "tag", f"{project}/fraud", "team", "risk")
    told = line.json("export", "views", out)
    assert told["tables"]["models"] >= 1
    assert told["tables"]["alerts"] == 0
    assert told["omitted"] == []

    def tags() -> list[tuple[Any, ...]]:
        table = f"read_parquet('{out}/views/*/models.parquet')"
        columns = "tags, details->>'$.title', epoch(create_time) > 0"
        return asked(f"select {columns} from {table} where name = 'projects/{project}/models/fraud'")

    assert tags() == [('{"team":"risk"}', "Fraud", True)]
    assert alone.json("export", "verify", out)["ok"]
    line("--at", before, "export", "views", out, "--project", project)
    assert tags() == [("{}", "Fraud", True)]
    line("--at", "9999-01-01", "export", "views", out)
    assert tags() == [('{"team":"risk"}', "Fraud", True)]
    assert "there was no state yet" in line("--at", "2001-01-01", "export", "views", out, expect=FAILED).err
    line("--at", before, "export", "views", out, "--project", project)
    assert asked(f"select count(*) from read_parquet('{out}/views/*/projects.parquet')") == [(1,)]
    (out / "views" / f"at={before}" / "models.parquet").unlink()
    broken = alone.json("export", "verify", out, expect=UNVERIFIED)
    assert [one["code"] for one in broken["findings"]] == ["FILE_MISSING"]


@pytest.mark.parametrize("place", KILLED)
def test_a_killed_export_leaves_what_was_there(line: CommandLine, project: str, out: Path, place: str) -> None:
    line("keys", "make", out.parent / "exporter")
    export = ("export", "facts", out, "--format", "jsonl", "--key", out.parent / "exporter")
    verify = ("export", "verify", out, "--key", out.parent / "exporter.pub")
    line(*export)
    before = line.json(*verify)
    line("models", "tag", f"{project}/fraud", "team", "risk")
    killed = line.run(*export, code=f"import os, pathlib\nfrom modelog.exports.folder import Folder\n{KILLED[place]}")
    assert killed.status == -signal.SIGKILL, killed
    left = line("--json", *verify, expect=UNVERIFIED if place in LEAVES_FILES else 0).json()
    assert {one["code"] for one in left["findings"]} <= {"FILE_UNEXPECTED"}
    assert (left["to_revision"] > before["to_revision"]) == (place == "behind the manifest")
    line(*export)
    after = line.json(*verify)
    assert after["ok"]
    assert after["to_revision"] > before["to_revision"]
    assert not list(out.rglob(".*.part"))
    assert len(list(out.glob("manifest-*"))) == 1


def test_two_exports_to_one_folder_do_not_meet(line: CommandLine, project: str, out: Path) -> None:
    code = "from modelog.exports import forms; import time\n"
    code += "forms.JsonLines.write = lambda *_: print('in', flush=True) or time.sleep(60)"
    first = line.start("export", "facts", out, "--format", "jsonl", code=code)
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "in\n"
        assert "somebody else is exporting" in line("export", "facts", out, "--format", "jsonl", expect=FAILED).err
    finally:
        first.kill()
        first.communicate()
    line("export", "facts", out, "--format", "jsonl")


def test_a_project_is_exported_as_before(line: CommandLine, project: str) -> None:
    short = line("export", project).out
    assert short == line("export", "project", project).out
    assert "kind: Project" in short
    assert "facts" in line("export", "--help").out


def test_events_are_told_in_the_words_of_others(line: CommandLine, project: str) -> None:
    line("environments", "define", project, "lab", "--driver", "process")
    line("endpoints", "create", project, "eu", f"{project}/lab")
    environment, endpoint = f"projects/{project}/environments/lab", f"projects/{project}/endpoints/eu"
    line("endpoints", "remove", f"{project}/eu")
    wait_for(line, endpoint, "EndpointRemoved")
    line("versions", "register", f"{project}/fraud", line.file(f"{project}.bin", "weights"))
    replay = ("events", "replay", "--project", project)
    text = line(*replay).out.splitlines()
    assert sum("VersionRegistered" in one for one in text) == 1
    assert len(text) >= 4

    def told(form: str) -> list[dict[str, Any]]:
        return [json.loads(one) for one in line(*replay, "--format", form).out.splitlines()]

    assert told("cloudevents")[0]["subject"] == f"projects/{project}"
    assert len(told("cloudevents")) == len(text)
    delivered = told("cdevents")
    assert [(one["context"]["type"], one["subject"]["id"]) for one in delivered] == [
        ("dev.cdevents.environment.created.0.2.0", environment),
        ("dev.cdevents.service.removed.0.2.0", endpoint),
        ("dev.cdevents.artifact.published.0.2.0", f"pkg:generic/{project}/fraud@1"),
    ]
    # What the fact does not say, read from the services.
    assert delivered[1]["subject"]["content"] == {"environment": {"id": environment}}
    lineage = told("openlineage")
    assert [one["eventType"] for one in lineage] == ["START", "COMPLETE"]
    assert lineage[0]["job"] == {"namespace": f"modelog:projects/{project}", "name": "fraud.train"}
    assert [one["type"] for one in map(json.loads, line("--json", *replay).out.splitlines())][-1].endswith("Registered")


def test_events_feed_a_command_whose_failure_is_theirs(line: CommandLine, project: str) -> None:
    taken = line.folder / f"{project}.events"
    line("events", "replay", "--project", project, "--exec", f"tee {taken}")
    assert json.loads(taken.read_text().splitlines()[0])["subject"] == f"projects/{project}"
    failed = line("events", "replay", "--project", project, "--exec", "sh -c 'cat >/dev/null; exit 3'", expect=FAILED)
    assert "ended with 3" in failed.err
    line("events", "replay", "--exec", "true", expect=0)


def test_events_are_followed_from_now_on(line: CommandLine, project: str) -> None:
    process = line.start("events", "tail", "--last", "1", "--format", "cloudevents")
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["revision"]
        line("models", "tag", f"{project}/fraud", "team", "risk")
        while not (event := json.loads(process.stdout.readline()))["type"].endswith("TagSet"):
            pass
        assert event["subject"] == f"projects/{project}/models/fraud"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_log_that_is_not_the_signed_one_has_its_exit_status(line: CommandLine, out: Path) -> None:
    line("export", "facts", out)
    manifest = out / "manifest.json"
    told = json.loads(manifest.read_text())
    told["subtrees"] = [f"{0:064x}" for _ in told["subtrees"]]
    manifest.write_text(json.dumps(told))
    line("projects", "create", "another")
    assert "do not lead to the root" in line("export", "facts", out, expect=UNVERIFIED).err
