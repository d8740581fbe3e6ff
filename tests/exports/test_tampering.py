"""What an export says after somebody has worked on it: every seeded change is found, by its name and revision."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelog.audit import Report
from modelog.exports import FORMS, export_facts, verify_export
from modelog.exports.folder import Folder
from modelog.exports.forms import Form
from tests.archive.trees import VKEY
from tests.exports.logs import Client, payloads

Records = list[Any]


def drop(records: Records, at: int, _form: Form) -> None:
    del records[at]


def double(records: Records, at: int, _form: Form) -> None:
    records.insert(at, records[at])


def swap(records: Records, at: int, _form: Form) -> None:
    other = (at + 1) % len(records)
    records[at], records[other] = records[other], records[at]


def another_actor(records: Records, at: int, form: Form) -> None:
    if form is FORMS["parquet"]:
        records[at] = records[at]._replace(actor="users/eve")
    else:
        records[at] = records[at].replace('"actor":"users/ada"', '"actor":"users/eve"')


def another_payload(records: Records, at: int, form: Form) -> None:
    revision = records[at].revision if form is FORMS["parquet"] else int(json.loads(records[at])["revision"])
    entry = Client(payloads(200)).entry(revision)
    changed = type(entry)(revision, entry.subject, entry.payload.replace(b"users/ada", b"users/eve"))
    records[at] = form.record(changed)


# The change, and what is found of it even when the digests in the manifest are made to fit.
CHANGES: dict[Callable[[Records, int, Form], None], set[str]] = {
    drop: {"ENTRY_MISSING", "LOG_CUT"},
    double: {"ENTRY_MOVED"},
    swap: {"ENTRY_MOVED", "ENTRY_MISSING"},
    another_actor: {"ENTRY_CHANGED"},
    another_payload: {"WRONG_ROOT"},
}


def tampered(top: Path, change: Callable[[Records, int, Form], None], form: Form, seed: int) -> Report:
    """A change by somebody who can write the manifest anew, but has no key of the log."""
    chance = random.Random(seed)
    folder = Folder(top)
    manifest = folder.manifest()
    assert manifest is not None
    files = list(manifest.files)
    at = chance.randrange(len(files))
    records = [record for _, record in form.read(top / files[at].path)]
    change(records, chance.randrange(len(records)), form)
    if records:
        revisions = (files[at].first_revision, files[at].last_revision)
        files[at] = folder.add(files[at].path, lambda path: form.write(path, records), len(records), revisions)
    else:
        (top / files.pop(at).path).unlink()
    folder.commit(type(manifest)(**{**manifest.__dict__, "files": files}))
    return verify_export(top, log_key=VKEY)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lake(tmp_path: Path, form: str) -> Path:
    export_facts(Client(payloads(60), services=("registry", "archive")).sdk, tmp_path / "lake", form)
    return tmp_path / "lake"


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_change_under_a_new_manifest_is_found(lake: Path, form: str, change: Any) -> None:
    for seed in range(6):
        copy = lake.with_name(f"copy{seed}")
        shutil.copytree(lake, copy)
        report = tampered(copy, change, FORMS[form], seed)
        codes = {one.code for one in report.findings}
        assert codes & CHANGES[change], (seed, report)


def test_a_flipped_bit_of_any_file_is_found(lake: Path) -> None:
    files = sorted(one for one in lake.rglob("*") if one.suffix in (".parquet", ".jsonl", ".zst"))
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    report = verify_export(lake, log_key=VKEY)
    assert sum(one.code == "FILE_CHANGED" for one in report.findings) == len(files)
    assert {one.file for one in report.findings if one.code == "FILE_CHANGED"} == {
        one.relative_to(lake).as_posix() for one in files
    }


def test_files_that_are_gone_or_new_are_named(lake: Path) -> None:
    first, *_ = sorted(one for one in lake.rglob("*") if one.is_file() and "facts" in one.parts)
    first.rename(first.with_name("other"))
    codes = {one.code: one.file for one in verify_export(lake).findings if one.file}
    assert codes["FILE_MISSING"].endswith(first.name)
    assert codes["FILE_UNEXPECTED"].endswith("other")


def test_a_checkpoint_of_another_log_proves_nothing(lake: Path) -> None:
    other = VKEY.replace("modelog.test", "modelog.best")
    codes = [one.code for one in verify_export(lake, log_key=other).findings]
    assert codes == ["BAD_SIGNATURE"]
    manifest = lake / "manifest.json"
    told = json.loads(manifest.read_text())
    told["checkpoint"] = told["checkpoint"].replace("\n60\n", "\n61\n")
    manifest.write_text(json.dumps(told))
    assert [one.code for one in verify_export(lake, log_key=VKEY).findings] == ["BAD_SIGNATURE"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"version": "modelog-export/1"}', b"\xff", b'{"version": "x"}']
)
def test_what_is_no_manifest_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert [one.code for one in verify_export(tmp_path).findings] == ["FILE_UNREADABLE"]
