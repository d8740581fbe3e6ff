"""Records as files: what is inside, that making them twice gives the same bytes, and what verification finds."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
import pytest

from modelog import audit
from services.archive.checkpoint import Head, parse_vkey
from services.archive.sealing.content import Proven, Subject, manifest, small_files
from services.archive.sealing.contents import read
from services.archive.sealing.erasing import erase
from services.archive.sealing.objects import Objects
from services.archive.sealing.store import ArtifactTrouble, Named, RecordStore, Written
from services.archive.sealing.story import Told, alerts, names_version, serving_intervals, told
from services.archive.sealing.verifying import verify_record
from tests.archive.sealed import damage, files_of, layout, raw, sha256
from tests.archive.stories import ENDPOINT, MODEL, OTHER, ROLLOUT, VERSION, life_of_version
from tests.archive.trees import ORIGIN, VKEY, Log

ARTIFACT = b"onnx bytes" * 1000
SHA256 = hashlib.sha256(ARTIFACT).hexdigest()
STORY = life_of_version(SHA256).facts
PAYLOADS = [fact.SerializeToString(deterministic=True) for _, fact in STORY]
LOG = Log(PAYLOADS)
SUBJECT = Subject("projects/risk/records/fraud-3", VERSION, SHA256, len(PAYLOADS))


def readings() -> list[Told]:
    found = [told(revision, payload) for revision, payload in enumerate(PAYLOADS, 1)]
    return [one for one in found if one]


def proven() -> Proven:
    size = len(PAYLOADS)
    paths = {revision: LOG.inclusion(revision - 1, size) for revision in range(1, size + 1)}
    key = {"vkey": VKEY, "from_size": 1, "to_size": 0}
    return Proven(Head(ORIGIN, size, LOG.root(size)), LOG.note(size), [key], paths)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    artifacts = tmp_path / "artifacts"
    (artifacts / "sha256").mkdir(parents=True)
    (artifacts / "sha256" / SHA256).write_bytes(ARTIFACT)
    return RecordStore(tmp_path / "records", artifacts)


NAMED = Named(SUBJECT.record, VERSION)
KEYS = [parse_vkey(VKEY)]


def write(store: RecordStore) -> Written:
    known, evidence = readings(), proven()
    files = small_files(SUBJECT, known, evidence)
    return store.write(NAMED, SHA256, files, lambda listed: manifest(SUBJECT, evidence.head, known, listed))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records" / "sha256"


def test_a_record_holds_what_its_manifest_says(store: RecordStore, records: Path) -> None:
    written = write(store)
    found = files_of(records / written.manifest_sha256)
    listed = json.loads(found["manifest.json"])
    assert sha256(found["manifest.json"]) == written.manifest_sha256
    assert {name: sha256(content) for name, content in found.items() if name != "manifest.json"} == {
        name: entry["sha256"] for name, entry in listed["files"].items()
    }
    assert found["artifact"] == ARTIFACT
    assert written.size_bytes == sum(map(len, found.values()))
    assert written.file_count == len(found) - 1
    assert (listed["version"], listed["cut_revision"]) == (VERSION, len(PAYLOADS))
    assert found["facts/000000000003.bin"] == PAYLOADS[2]
    assert len(found["facts.jsonl"].splitlines()) == len(PAYLOADS)
    proof = found["proofs/000000000003.tlog-proof"].decode()
    assert audit.verify_fact(PAYLOADS[2], proof, VKEY).ok, "the offline verifier reads what is inside a record"


def test_a_record_is_an_image_layout_that_says_what_it_is(store: RecordStore, records: Path) -> None:
    """By the rules of the OCI image specification 1.1: layout, index, manifest, descriptors."""
    written = write(store)
    folder = records / written.manifest_sha256
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((folder / "index.json").read_bytes())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    [entry] = index["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "fraud-3"}
    assert entry["digest"] == f"sha256:{written.image_sha256}"
    manifest_bytes = (folder / "blobs" / "sha256" / written.image_sha256).read_bytes()
    image = json.loads(manifest_bytes)
    assert image["artifactType"] == entry["artifactType"] == "application/vnd.modelog.record.v1"
    assert image["config"]["digest"] == f"sha256:{written.manifest_sha256}"
    titles = {one["annotations"]["org.opencontainers.image.title"]: one["mediaType"] for one in image["layers"]}
    assert titles["model-card.md"] == "text/markdown"
    assert set(titles) >= {"artifact", "evidence.tar", "checkpoint", "policy.json", "serving.json", "alerts.json"}
    described = [entry, image["config"], *image["layers"]]
    blobs = {one["digest"].removeprefix("sha256:"): one["size"] for one in described}
    lying = {one.name: one.read_bytes() for one in (folder / "blobs" / "sha256").iterdir()}
    assert {name: len(content) for name, content in lying.items()} == blobs
    assert all(sha256(content) == name for name, content in lying.items())
    assert all(re.fullmatch(r"[\w.+-]+/[\w.+-]+", one["mediaType"]) for one in described)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="LOUD: no skopeo, so no other tool reads a record")
def test_another_tool_reads_a_record(store: RecordStore, records: Path, tmp_path: Path) -> None:
    folder = records / write(store).manifest_sha256
    copied = tmp_path / "copied"
    subprocess.run(["skopeo", "copy", f"oci:{folder}:fraud-3", f"oci:{copied}:again"], check=True, timeout=60)
    assert verify_record(layout(copied), folder.name, KEYS).wrong == []


def test_making_a_record_twice_ends_in_the_same_bytes(store: RecordStore, records: Path, tmp_path: Path) -> None:
    first = write(store)
    before = raw(records / first.manifest_sha256)
    assert write(store) == first
    elsewhere = RecordStore(tmp_path / "elsewhere", tmp_path / "artifacts")
    assert write(elsewhere) == first
    assert raw(tmp_path / "elsewhere" / "sha256" / first.manifest_sha256) == before
    assert not list((tmp_path / "records").rglob("*#*"))


def test_a_bucket_holds_the_same_bytes_as_a_folder(store: RecordStore, records: Path, tmp_path: Path, s3: str) -> None:
    written = write(store)
    bucket = RecordStore(f"{s3}/{tmp_path.name}", tmp_path / "artifacts")
    assert write(bucket) == write(bucket) == written
    contents = bucket.open(written.manifest_sha256)
    assert {name: read(contents, name) for name in contents.names()} == files_of(records / written.manifest_sha256)
    assert verify_record(contents, written.manifest_sha256, KEYS).wrong == []
    (tmp_path / "artifacts" / "sha256" / SHA256).unlink()
    assert bucket.restore(written.manifest_sha256, SHA256)
    assert (tmp_path / "artifacts" / "sha256" / SHA256).read_bytes() == ARTIFACT
    erase(contents, ["artifact"])
    assert "artifact" not in bucket.open(written.manifest_sha256).names()


def test_artifacts_may_lie_in_a_bucket_too(tmp_path: Path, s3: str) -> None:
    address = f"{s3}/{tmp_path.name}/artifacts"
    Objects(address).put(f"sha256/{SHA256}", ARTIFACT)
    written = write(RecordStore(tmp_path / "records", address))
    assert files_of(tmp_path / "records" / "sha256" / written.manifest_sha256)["artifact"] == ARTIFACT


def test_an_artifact_is_put_back_once_and_only_as_it_was(store: RecordStore, records: Path, tmp_path: Path) -> None:
    written = write(store)
    lying = tmp_path / "artifacts" / "sha256" / SHA256
    assert not store.restore(written.manifest_sha256, SHA256)
    lying.unlink()
    damage(records / written.manifest_sha256, "artifact", ARTIFACT[:-1])
    with pytest.raises(ArtifactTrouble) as trouble:
        store.restore(written.manifest_sha256, SHA256)
    assert trouble.value.reason == "ARTIFACT_CHANGED"
    assert not lying.exists()


class Killed(BaseException):
    """A process that dies here: nothing is cleaned up."""


@pytest.mark.parametrize("step", range(44))
def test_a_crash_at_any_step_leaves_no_record_or_a_whole_one(
    store: RecordStore, records: Path, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(RecordStore(tmp_path / "elsewhere", tmp_path / "artifacts"))
    steps = iter(range(10_000))

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(obstore, "put", dying(obstore.put))
        with suppress(Killed):
            write(store)
    complete = [one.parent.name for one in records.glob("*/index.json")]
    assert complete in ([], [whole.manifest_sha256])
    assert write(store) == whole
    assert verify_record(store.open(whole.manifest_sha256), whole.manifest_sha256, KEYS).wrong == []
    assert raw(records / whole.manifest_sha256) == raw(tmp_path / "elsewhere" / "sha256" / whole.manifest_sha256)


def test_a_record_of_the_first_form_is_read_and_verified(store: RecordStore, records: Path, tmp_path: Path) -> None:
    written = write(store)
    plain = tmp_path / "plain" / "sha256" / written.manifest_sha256
    for name, content in files_of(records / written.manifest_sha256).items():
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes(content)
    before = RecordStore(tmp_path / "plain", tmp_path / "artifacts").open(written.manifest_sha256)
    assert verify_record(before, written.manifest_sha256, KEYS).wrong == []
    erase(before, ["artifact"])
    wrong = verify_record(before, written.manifest_sha256, KEYS).wrong
    assert [(one.reason, one.path) for one in wrong] == [("FILE_MISSING", "artifact")]


def test_rubbish_of_crashes_is_swept_once_it_is_old(store: RecordStore, tmp_path: Path) -> None:
    for name in ("young#1", "old#2"):
        (tmp_path / "records" / name).write_bytes(b"half")
    os.utime(tmp_path / "records" / "old#2", (1, 1))
    store.sweep()
    assert [one.name for one in (tmp_path / "records").iterdir()] == ["young#1"]


@pytest.mark.parametrize("digest", ["00" * 32, "../../etc/passwd", ""])
def test_a_missing_artifact_is_said(store: RecordStore, digest: str) -> None:
    with pytest.raises(ArtifactTrouble) as trouble:
        store.write(NAMED, digest, {}, lambda _: b"")
    assert trouble.value.reason == "ARTIFACT_MISSING"


def test_a_changed_artifact_is_said_and_leaves_nothing(store: RecordStore, tmp_path: Path) -> None:
    path = tmp_path / "artifacts" / "sha256" / SHA256
    path.write_bytes(ARTIFACT + b"!")
    with pytest.raises(ArtifactTrouble) as trouble:
        write(store)
    assert trouble.value.reason == "ARTIFACT_CHANGED"
    assert not [one for one in (tmp_path / "records").rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("artifact", ARTIFACT[:-1], "FILE_CHANGED"),
        ("artifact", None, "FILE_MISSING"),
        ("model-card.md", b"better", "FILE_CHANGED"),
        ("facts/000000000003.bin", PAYLOADS[4], "PROOF_WRONG"),
        ("proofs/000000000003.tlog-proof", b"c2sp.org/tlog-proof@v1\nindex 2\n\n", "PROOF_WRONG"),
        ("proofs/000000000004.tlog-proof", None, "FILE_MISSING"),
        ("checkpoint", b"nobody signed this", "CHECKPOINT_WRONG"),
        ("manifest.json", b"{}", "MANIFEST_CHANGED"),
        ("manifest.json", None, "FILE_MISSING"),
        ("extra", b"x", "FILE_UNEXPECTED"),
        ("facts/999999999999.bin", b"x", "FILE_UNEXPECTED"),
        ("evidence.tar", b"no tar", "FILE_CHANGED"),
        ("evidence.tar", None, "FILE_MISSING"),
    ],
)
def test_whatever_is_done_to_a_record_is_found(
    store: RecordStore, records: Path, name: str, content: bytes | None, reason: str
) -> None:
    digest = write(store).manifest_sha256
    verified = verify_record(store.open(digest), digest, KEYS)
    assert (verified.wrong, verified.proof_count) == ([], len(PAYLOADS))
    damage(records / digest, name, content)
    wrong = verify_record(store.open(digest), digest, KEYS).wrong
    where = "proofs/000000000003.tlog-proof" if reason == "PROOF_WRONG" else "blobs/extra" if name == "extra" else name
    assert (reason, where) in {(one.reason, one.path) for one in wrong}


def test_serving_intervals_are_folded_from_the_traffic() -> None:
    first, second = serving_intervals(readings(), VERSION)
    assert (first["endpoint"], first["percent"], first["rollout"]) == (ENDPOINT, 10, ROLLOUT)
    assert (first["to_revision"], second["from_revision"]) == (13, 13)
    assert (second["percent"], second["to_revision"], second["requested_by"]) == (100, 15, "users/op")


def test_serving_of_another_version_is_not_mixed_in() -> None:
    intervals = serving_intervals(readings(), OTHER)
    assert [(one["percent"], one["from_revision"], one.get("to_revision")) for one in intervals] == [
        (90, 12, 13),
        (100, 15, None),
    ]


def test_alerts_of_the_version_come_with_what_was_done() -> None:
    one, other = alerts(readings())
    assert one["raised"]["version"] == VERSION
    assert [fact["event"].rpartition(".")[2] for fact in one["facts"]] == ["AlertRaised", "AlertAcknowledged"]
    assert other["raised"]["version"] == OTHER


def test_a_name_is_found_only_as_a_whole() -> None:
    found = [one.revision for one in readings() if names_version(one.event, VERSION)]
    assert found == [10, 12, 13, 14, 17]


def test_the_model_card_tells_the_story(store: RecordStore) -> None:
    card = small_files(SUBJECT, readings(), proven())["model-card.md"].decode()
    assert card.startswith(f"# Fraud, version 3\n\n`{VERSION}`\n\nFinds fraud.\n")
    for line in (
        "## Limitations\n\nNot for | loans.\n# Really.",
        "| holdout | all | auc | 0.91 | users/ada |",
        "| holdout | fairness over sex | gap | 0.05 | users/ada |",
        "| users/bob | fairness | approve | fair enough |",
        "| staging to production | users/bob | as agreed |",
        "| parameter alpha | 0.1 |\n| parameter depth | 3 |",
        f"| {ENDPOINT} | 100 % |",
    ):
        assert line in card, card
    assert OTHER not in card
    assert MODEL in card
