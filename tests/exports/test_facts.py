"""Exports of a log in memory: the forms, growing, and a log that is not the one it was."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from modelog.exports import FORMS, BadExport, WrongLog, export_facts, facts, verify_export
from modelog.exports.manifest import decoded
from modelog.exports.verify import merged
from modelog.provenance.keys import key_of
from modelog.sdk import Entry
from tests.archive.trees import VKEY
from tests.exports.logs import Client, payloads

UNREADABLE = (b"", b"\xff\xff no fact", b"\x0a\x01x")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("payload", [*payloads(1), *UNREADABLE])
def test_every_form_gives_back_what_it_was_given(tmp_path: Path, form: str, payload: bytes) -> None:
    entry, made = Entry(7, "lifecycle.registry.risk.models.m", payload), FORMS[form]
    made.write(tmp_path / "file", [made.record(entry)] * 3)
    assert list(made.read(tmp_path / "file")) == [(entry, made.record(entry))] * 3


def test_times_in_lines_are_those_of_the_fact() -> None:
    (payload,) = payloads(1)
    told = json.loads(FORMS["jsonl"].record(Entry(7, "lifecycle.registry.risk.models.m", payload)))
    assert told["time"] == "2024-10-04T00:00:00.000001Z"
    assert told["event"] == {"key": "k0", "value": "v"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b"not what it should be", b"{}\n", b'[1]\n{"payload": 1}\n', b"null\n"])
def test_a_file_that_cannot_be_read_is_told_in_one_way(tmp_path: Path, form: str, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        list(FORMS[form].read(tmp_path / "file"))


@pytest.mark.parametrize("form", FORMS)
def test_an_export_grows_by_days_and_services(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_MOST_ROWS", 16)
    client = Client([*payloads(40), *UNREADABLE], services=("registry", "deployment"))
    done = export_facts(client.sdk, tmp_path / "lake", form)
    assert done.rows == done.manifest.rows == 43
    parts = {one.path.rpartition("/")[0] for one in done.manifest.files}
    assert "facts/day=2024-10-04/service=registry" in parts
    assert "facts/day=__HIVE_DEFAULT_PARTITION__/service=deployment" in parts
    report = verify_export(tmp_path / "lake", log_key=VKEY)
    assert report.ok, report.findings
    assert (report.entries, report.unreadable, report.size) == (43, 3, 43)
    for more in (1, 1, 30):
        client.payloads += payloads(43 + more)[-more:]
        assert export_facts(client.sdk, tmp_path / "lake", form).rows == more
        report = verify_export(tmp_path / "lake", log_key=VKEY)
        assert report.ok, report.findings
        assert report.entries == len(client.payloads)
    assert export_facts(client.sdk, tmp_path / "lake", form).rows == 0


def test_parquet_is_a_data_set_of_partitions(tmp_path: Path) -> None:
    client = Client(payloads(40), services=("registry", "deployment"))
    export_facts(client.sdk, tmp_path / "lake")
    found = ds.dataset(tmp_path / "lake" / "facts", partitioning="hive", exclude_invalid_files=True)
    table = found.to_table(filter=ds.field("service") == "deployment")
    assert sorted(table["revision"].to_pylist()) == list(range(1, 41, 2))
    assert set(table["on_behalf_of"].to_pylist()[0]) == {"users/grace"}
    assert json.loads(table["event"].to_pylist()[0])["value"] == "v"


def test_facts_that_do_not_lead_to_the_signed_root_are_not_exported(tmp_path: Path) -> None:
    client = Client(payloads(20))
    client.note = client._checkpoint(type("Asked", (), {"wait": True})).note
    client.payloads[7] = client.payloads[8]
    with pytest.raises(WrongLog, match="do not lead to the root"):
        export_facts(client.sdk, tmp_path / "lake")
    assert not list((tmp_path / "lake").rglob("*.json"))


def test_another_log_than_before_adds_nothing(tmp_path: Path) -> None:
    client = Client(payloads(20))
    export_facts(client.sdk, tmp_path / "lake")
    kept = (tmp_path / "lake" / "manifest.json").read_bytes()
    rewritten = Client(payloads(30))
    rewritten.payloads[3] = rewritten.payloads[4]
    with pytest.raises(WrongLog, match="do not lead to the root"):
        export_facts(rewritten.sdk, tmp_path / "lake")
    with pytest.raises(WrongLog, match="the log was cut"):
        export_facts(Client(payloads(19)).sdk, tmp_path / "lake")
    assert (tmp_path / "lake" / "manifest.json").read_bytes() == kept
    assert export_facts(Client(payloads(30)).sdk, tmp_path / "lake").rows == 10
    assert verify_export(tmp_path / "lake").ok


def test_what_begins_later_goes_on_from_there(tmp_path: Path) -> None:
    client = Client(payloads(20))
    assert export_facts(client.sdk, tmp_path / "lake", from_revision=11).rows == 10
    client.payloads = payloads(25)
    assert export_facts(client.sdk, tmp_path / "lake").rows == 5
    report = verify_export(tmp_path / "lake", log_key=VKEY)
    assert report.ok
    assert (report.from_revision, report.to_revision) == (11, 25)
    assert "not everything from revision 1" in report.notes[-1]
    with pytest.raises(BadExport, match="nothing from 26 on"):
        export_facts(client.sdk, tmp_path / "other", from_revision=26)


def test_a_signed_export_stays_signed(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    client = Client(payloads(20))
    export_facts(client.sdk, tmp_path / "lake", key=key)
    assert not verify_export(tmp_path / "lake", log_key=VKEY, keys=[key_of(key.public_key())]).notes
    with pytest.raises(BadExport, match="give the key again"):
        export_facts(client.sdk, tmp_path / "lake")


def test_a_form_is_not_mixed_with_another(tmp_path: Path) -> None:
    client = Client(payloads(20))
    export_facts(client.sdk, tmp_path / "lake")
    with pytest.raises(BadExport, match="say --format as before"):
        export_facts(client.sdk, tmp_path / "lake", "jsonl")


def test_a_manifest_names_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    export_facts(Client(payloads(20)).sdk, tmp_path / "lake")
    content = (tmp_path / "lake" / "manifest.json").read_text()
    for outside in ("../../etc/passwd", "/etc/passwd"):
        told = json.loads(content)
        told["files"][0]["path"] = outside
        with pytest.raises(ValueError, match="outside of its folder"):
            decoded(json.dumps(told).encode())


def file(revisions: list[int]) -> Iterator[tuple[Entry, Any, str]]:
    return ((Entry(one, "", b""), one, "") for one in revisions)


@given(st.lists(st.lists(st.integers(1, 60), unique=True).map(sorted), max_size=8))
def test_files_are_merged_in_the_order_of_the_log(files: list[list[int]]) -> None:
    sources = sorted((one for one in files if one), key=lambda one: one[0])
    walked = merged([(one[0], partial(file, one)) for one in sources])
    assert [entry.revision for entry, _, _ in walked] == sorted(n for one in files for n in one)
