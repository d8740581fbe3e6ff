"""Records as files: what is inside, that making them twice gives the same bytes, and what verification finds."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from modelog import audit
from services.archive.checkpoint import Head, parse_vkey
from services.archive.sealing.content import Proven, Subject, manifest, small_files
from services.archive.sealing.store import ArtifactTrouble, RecordStore, Written
from services.archive.sealing.story import Told, alerts, names_version, serving_intervals, told
from services.archive.sealing.verifying import verify_record
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


def write(store: RecordStore) -> Written:
    known, evidence = readings(), proven()
    files = small_files(SUBJECT, known, evidence)
    return store.write(SHA256, files, lambda listed: manifest(SUBJECT, evidence.head, known, listed))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_a_record_holds_what_its_manifest_says(store: RecordStore) -> None:
    written = write(store)
    found = contents(store.path(written.manifest_sha256))
    listed = json.loads(found["manifest.json"])
    assert hashlib.sha256(found["manifest.json"]).hexdigest() == written.manifest_sha256
    assert {
        name: hashlib.sha256(content).hexdigest() for name, content in found.items() if name != "manifest.json"
    } == {name: entry["sha256"] for name, entry in listed["files"].items()}
    assert found["artifact"] == ARTIFACT
    assert written.size_bytes == sum(map(len, found.values()))
    assert written.file_count == len(found) - 1
    assert (listed["version"], listed["cut_revision"]) == (VERSION, len(PAYLOADS))
    assert found["facts/000000000003.bin"] == PAYLOADS[2]
    assert len(found["facts.jsonl"].splitlines()) == len(PAYLOADS)
    proof = found["proofs/000000000003.tlog-proof"].decode()
    assert audit.verify_fact(PAYLOADS[2], proof, VKEY).ok, "the offline verifier reads what is inside a record"


def test_making_a_record_twice_ends_in_the_same_bytes(store: RecordStore, tmp_path: Path) -> None:
    first = write(store)
    before = contents(store.path(first.manifest_sha256))
    assert write(store) == first
    elsewhere = RecordStore(tmp_path / "elsewhere", tmp_path / "artifacts")
    assert write(elsewhere) == first
    assert contents(elsewhere.path(first.manifest_sha256)) == before
    assert list((tmp_path / "records" / "tmp").iterdir()) == []


class Killed(BaseException):
    """A process that dies here: nothing is cleaned up."""


@pytest.mark.parametrize("step", range(0, 170, 7))
def test_a_crash_at_any_step_leaves_no_record_or_a_whole_one(
    store: RecordStore, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        patch.setattr("services.archive.sealing.store.shutil.rmtree", lambda *_, **__: None)
        for name in ("open", "fsync"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(Path, "rename", dying(Path.rename))
        with suppress(Killed):
            write(store)
    complete = [one for one in store.path("").glob("*") if one.is_dir()]
    assert [one.name for one in complete] in ([], [whole.manifest_sha256])
    assert write(store) == whole
    assert verify_record(store.path(whole.manifest_sha256), whole.manifest_sha256, [parse_vkey(VKEY)]).wrong == []


def test_rubbish_of_crashes_is_swept_once_it_is_old(store: RecordStore, tmp_path: Path) -> None:
    for name in ("young", "old"):
        (tmp_path / "records" / "tmp" / name).mkdir(parents=True)
        (tmp_path / "records" / "tmp" / name / "artifact").write_bytes(b"half")
    os.utime(tmp_path / "records" / "tmp" / "old", (1, 1))
    store.sweep()
    assert [one.name for one in (tmp_path / "records" / "tmp").iterdir()] == ["young"]


@pytest.mark.parametrize("digest", ["00" * 32, "../../etc/passwd", ""])
def test_a_missing_artifact_is_said(store: RecordStore, digest: str) -> None:
    with pytest.raises(ArtifactTrouble) as trouble:
        store.write(digest, {}, lambda _: b"")
    assert trouble.value.reason == "ARTIFACT_MISSING"


def test_a_changed_artifact_is_said_and_leaves_nothing(store: RecordStore, tmp_path: Path) -> None:
    path = tmp_path / "artifacts" / "sha256" / SHA256
    path.write_bytes(ARTIFACT + b"!")
    with pytest.raises(ArtifactTrouble) as trouble:
        write(store)
    assert trouble.value.reason == "ARTIFACT_CHANGED"
    assert not store.path("").exists()
    assert list((tmp_path / "records" / "tmp").iterdir()) == []


def damaged(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(content)


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
    ],
)
def test_whatever_is_done_to_a_record_is_found(
    store: RecordStore, name: str, content: bytes | None, reason: str
) -> None:
    digest = write(store).manifest_sha256
    verified = verify_record(store.path(digest), digest, [parse_vkey(VKEY)])
    assert (verified.wrong, verified.proof_count) == ([], len(PAYLOADS))
    damaged(store.path(digest), name, content)
    wrong = verify_record(store.path(digest), digest, [parse_vkey(VKEY)]).wrong
    where = "proofs/000000000003.tlog-proof" if reason == "PROOF_WRONG" else name
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
