"""Packs checked offline: clean ones hold, and whatever was done to one is found and named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelog.audit import Report
from modelog.packs.check import verify
from modelog.packs.folder import fact_line, proof_file
from modelog.packs.scope import Selection
from modelog.provenance.keys import key_of
from tests.archive.trees import VKEY, Log, packed
from tests.packs.ground import ABOUT_THE_MODEL, ENTRIES, LOG, MODEL, PROJECT, SIGNER, evidence, pack, signed_again

FACT, PROOF = proof_file(4, "fact"), proof_file(4, "tlog-proof")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pack(tmp_path / "pack")


def codes(report: Report) -> set[tuple[str, str, int]]:
    return {(one.code, one.file, one.revision) for one in report.findings}


def checked(folder: Path, bundle: Path | str = "") -> set[tuple[str, str, int]]:
    return codes(verify(folder, VKEY, [SIGNER], bundle))


def bundle(folder: Path, log: Log = LOG, last: int = len(ENTRIES)) -> Path:
    path = folder.parent / "log.tar"
    path.write_bytes(packed(log.files(1, last, last), 1, last, last))
    return path


def test_a_clean_pack_holds(folder: Path) -> None:
    report = verify(folder, VKEY, [SIGNER], bundle(folder))
    assert (report.findings, report.notes) == ([], [])
    assert (report.proofs, report.entries, report.checkpoints) == (len(ABOUT_THE_MODEL), len(ABOUT_THE_MODEL), 1)
    assert (report.from_revision, report.to_revision, report.size) == (2, 19, 20)


def test_what_was_not_checked_is_said(folder: Path) -> None:
    report = verify(folder, VKEY, None)
    assert report.ok
    assert [note.split(" was not checked")[0] for note in report.notes] == [
        "the signature of whoever made the pack",
        "that no fact was left out",
    ]


def appended(name: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        with (folder / name).open("ab") as writing:
            writing.write(b" ")

    return tamper


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def added(folder: Path) -> None:
    (folder / "data" / "more.csv").write_text("more\n")


def linked(folder: Path) -> None:
    (folder / "data" / "timeline.csv").unlink()
    (folder / "data" / "timeline.csv").symlink_to("/etc/hostname")


def swapped(folder: Path) -> None:
    shutil.copy(folder / proof_file(6, "fact"), folder / FACT)


def other_place(folder: Path) -> None:
    shutil.copy(folder / proof_file(6, "fact"), folder / FACT)
    shutil.copy(folder / proof_file(6, "tlog-proof"), folder / PROOF)


def cut(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


CHANGED = ("FILE_CHANGED", FACT, 0)
CASES: dict[str, tuple[Callable[[Path], None], set[tuple[str, str, int]]]] = {
    "the page": (appended("index.html"), {("FILE_CHANGED", "index.html", 0)}),
    "a table": (appended("data/timeline.csv"), {("FILE_CHANGED", "data/timeline.csv", 0)}),
    "a state": (removed("states/models.json"), {("FILE_MISSING", "states/models.json", 0)}),
    "one more": (added, {("FILE_UNEXPECTED", "data/more.csv", 0)}),
    "a link": (linked, {("FILE_UNEXPECTED", "data/timeline.csv", 0), ("FILE_MISSING", "data/timeline.csv", 0)}),
    "a fact": (appended(FACT), {CHANGED, ("BAD_PROOF", PROOF, 4)}),
    "another fact": (swapped, {CHANGED, ("BAD_PROOF", PROOF, 4)}),
    "a fact of another place": (other_place, {CHANGED, ("FILE_CHANGED", PROOF, 0), ("BAD_PROOF", PROOF, 4)}),
    "a proof": (removed(PROOF), {("FILE_MISSING", PROOF, 0), ("FACT_UNPROVED", FACT, 4)}),
    "the checkpoint": (removed("checkpoint"), {("FILE_MISSING", "checkpoint", 0)}),
    "the manifest": (appended("manifest.json"), {("BAD_SIGNATURE", "manifest.json", 0)}),
    "half a manifest": (cut, {("NOT_A_PACK", "manifest.json", 0)}),
    "no manifest": (removed("manifest.json"), {("NOT_A_PACK", "manifest.json", 0)}),
    "no signature": (removed("manifest.dsse"), {("FILE_MISSING", "manifest.dsse", 0)}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_done_to_a_pack_is_found_and_named(name: str, folder: Path) -> None:
    tamper, expected = CASES[name]
    tamper(folder)
    assert checked(folder) == expected


def test_it_has_to_be_signed_by_one_of_the_keys_that_are_named(folder: Path) -> None:
    other = key_of(Ed25519PrivateKey.generate().public_key())
    assert codes(verify(folder, VKEY, [other])) == {("BAD_SIGNATURE", "manifest.dsse", 0)}
    assert verify(folder, VKEY, [other, SIGNER]).ok


def test_a_log_that_is_another_is_not_believed(folder: Path) -> None:
    wrong = "modelog.test/log+da4d9634+AcgZmZcRnQICtj12UrWmVE1ePO5b94XgsiOHHkUgwgd/"
    report = verify(folder, wrong, [SIGNER])
    assert not report.ok
    assert {one.code for one in report.findings} == {"BAD_SIGNATURE"}


# What only the holder of the signing key could do.


def test_a_fact_told_otherwise_than_it_was_recorded_is_found(folder: Path) -> None:
    told = folder / "facts.jsonl"
    told.write_text(told.read_text().replace("users/ben", "users/eve"))
    signed_again(folder, json.loads((folder / "manifest.json").read_text()))
    assert checked(folder) == {("FACT_CHANGED", "facts.jsonl", 15)}


def test_a_fact_that_is_told_without_a_proof_is_found_and_the_other_way_round(folder: Path) -> None:
    told = folder / "facts.jsonl"
    *lines, _ = told.read_text().splitlines(keepends=True)
    stranger = ENTRIES[2]
    lines.append(fact_line(stranger.revision, stranger.payload))
    told.write_text("".join([*lines, "no fact at all\n"]))
    signed_again(folder, json.loads((folder / "manifest.json").read_text()))
    assert checked(folder) == {
        ("FACT_UNPROVED", "facts.jsonl", 3),
        ("FACT_UNPROVED", "facts.jsonl", 0),
        ("FACT_MISSING", "facts.jsonl", 19),
    }


def test_a_fact_that_was_left_out_is_found_with_a_bundle_of_the_log(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["facts"].remove(19)
    for kind in ("fact", "tlog-proof"):
        (folder / proof_file(19, kind)).unlink()
    told = folder / "facts.jsonl"
    told.write_text("".join(told.read_text().splitlines(keepends=True)[:-1]))
    signed_again(folder, manifest)
    assert checked(folder) == set()  # Proofs alone cannot show it.
    assert checked(folder, bundle(folder)) == {("FACT_LEFT_OUT", "", 19)}


def test_proofs_of_another_root_are_not_mixed_in(folder: Path) -> None:
    (folder / PROOF).write_text(evidence(size=12).proofs[4])
    signed_again(folder, json.loads((folder / "manifest.json").read_text()))
    assert checked(folder) == {("WRONG_CHECKPOINT", PROOF, 4)}


def test_a_manifest_that_speaks_of_another_root_is_found(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["checkpoint"]["size"] = 18
    signed_again(folder, manifest)
    assert checked(folder) == {("WRONG_CHECKPOINT", "manifest.json", 0)}
    signed_again(folder, manifest | {"checkpoint": dict(manifest["checkpoint"], size=len(ENTRIES)), "revision": 21})
    assert checked(folder) == {("WRONG_CHECKPOINT", "manifest.json", 0)}


def test_a_bundle_has_to_be_whole_and_right(folder: Path) -> None:
    assert checked(folder, bundle(folder, last=14)) == {("FILE_UNEXPECTED", "log.tar", 0)}
    path = bundle(folder)
    path.write_bytes(path.read_bytes()[:4000])
    assert {code for code, *_ in checked(folder, path)} >= {"FILE_UNREADABLE", "FILE_MISSING"}


def test_a_selection_that_makes_no_sense_is_no_pack(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    signed_again(folder, manifest | {"selection": {"start": "yesterday"}})
    assert checked(folder, bundle(folder)) == {("NOT_A_PACK", "manifest.json", 0)}


def test_a_pack_of_nothing_holds(tmp_path: Path) -> None:
    empty = Selection([PROJECT], ["EmergencyDeclared"], [MODEL])
    folder = pack(tmp_path / "pack", entries=[], selection=empty)
    assert checked(folder, bundle(folder)) == set()
