"""The witness: what it vouches for, what it refuses, and that a new key of the log follows from the old one."""

import asyncio
import base64
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import evidence_requests_pb2 as more
from services.archive import keys
from services.archive.checkpoint import BadNote, Head, parse_vkey, sign, verifier_of
from services.archive.checkpoints import Ledger
from services.archive.merkle import span_hash
from services.archive.tiles import node_from
from services.archive.witness.cosignature import cosign, cosigner_in, cosigner_of
from services.archive.witness.witness import Refused, Witness
from tests.archive.calls import Archive
from tests.archive.ground import Ground, messages
from tests.archive.stories import life_of_version
from tests.archive.trees import ORIGIN, Log

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def test_a_cosignature_is_as_the_specification_says() -> None:
    head = Head(ORIGIN, 7, bytes(range(32)))
    line = cosign(head.body(), 1_700_000_000, "witness.test", KEY)
    mark, name, encoded = line.split(" ")
    blob = base64.b64decode(encoded)
    assert (mark, name, len(blob)) == ("—", "witness.test", 4 + 8 + 64)
    assert int.from_bytes(blob[4:12]) == 1_700_000_000
    KEY.public_key().verify(blob[12:], b"cosignature/v1\ntime 1700000000\n" + head.body().encode())
    cosigner = cosigner_in(cosigner_of("witness.test", KEY).vkey)
    assert cosigner.time(line, head.body()) == 1_700_000_000
    with pytest.raises(BadNote):
        cosigner.time(line, Head(ORIGIN, 8, bytes(range(32))).body())
    with pytest.raises(BadNote):
        cosigner_of("witness.test", Ed25519PrivateKey.generate()).time(line, head.body())


class Tiles:
    """The notary's tree, as the witness asks it for proofs."""

    def __init__(self, ground: Ground) -> None:
        self._log = Log(one.payload for one in ground.log.entries)

    async def hashes(self, spans: Any) -> list[bytes]:
        return [span_hash(span, node_from(self._log.tiles)) for span in spans]


def witness_of(ground: Ground, clock: Any = None, reach: int = 1000) -> Witness:
    ground.vault.open()
    return Witness(
        name="witness.test",
        checkpoints=ground.checkpoints,
        statements=ground.statements,
        vault=ground.vault,
        tiles=Tiles(ground),
        reach=lambda: reach,
        clock=clock or (lambda: datetime(2026, 3, 1, tzinfo=UTC)),
    )


@pytest.fixture
async def ground(tmp_path: Path) -> Ground:
    return await Ground(tmp_path / "data").fill(60, 20)


def add(ground: Ground, size: int, root: bytes, key: Ed25519PrivateKey | None = None) -> None:
    head = Head(ORIGIN, size, root)
    note = sign(head, key or keys.open_key(ground.checkpoints.folder, ORIGIN))
    Ledger(ground.checkpoints).record(head, note, datetime(2026, 3, 1, tzinfo=UTC))


async def grown(ground: Ground) -> bytes:
    """Ten facts more, in the log and in the copy; the root over all seventy."""
    ground.log.entries = list(messages(70))
    ground.vault.open()
    ground.vault.append(ground.log.entries[60:])
    return ground.vault.root(70)


async def test_it_waits_for_tiles_that_are_behind_what_was_signed(ground: Ground) -> None:
    """A notary apart may sign before the archive has folded: that is no trouble, and no proof can be made yet."""
    add(ground, 70, await grown(ground))
    behind, key = witness_of(ground, reach=69), witness_of(ground).open()
    assert not await behind.round(key)
    assert await witness_of(ground, reach=70).round(key)


async def test_it_vouches_for_what_follows_and_for_nothing_else(ground: Ground) -> None:
    root = await grown(ground)
    witness = witness_of(ground)
    key = witness.open()
    assert not await witness.round(key), "nothing new was signed"
    add(ground, 70, bytes(32))
    with pytest.raises(Refused, match="CONTRADICTION"):
        await witness.round(key)
    newest = ground.statements.newest()
    assert newest is not None
    assert newest.head.size == 60
    path = ground.checkpoints.folder / "checkpoints.jsonl"
    good = path.read_bytes().splitlines(keepends=True)[:-1]
    for other in (Ed25519PrivateKey.generate(), None):
        path.write_bytes(b"".join(good))
        one = Ground(ground.folder)
        one.log.entries = ground.log.entries
        add(one, 70, root, other)
        again = witness_of(one)
        if other:
            with pytest.raises(Refused, match="BAD_SIGNATURE"):
                await again.round(key)
        else:
            assert await again.round(key)
    assert one.statements.promised() == 70


async def test_it_never_vouches_for_two_histories(ground: Ground, tmp_path: Path) -> None:
    """Somebody with every key and every file of the notary starts anew; the witness has seen the former end."""
    other = await Ground(tmp_path / "other").fill(80, 20, bytes_each=200)
    for name in ("checkpoints.jsonl", "head.json"):
        (ground.checkpoints.folder / name).unlink()
    one = Ground(ground.folder)
    one.vault = other.vault
    one.log.entries = other.log.entries
    add(one, 80, other.vault.root(80))
    witness = witness_of(one)
    with pytest.raises(Refused, match="CONTRADICTION"):
        await witness.round(witness.open())
    (one.checkpoints.folder / "checkpoints.jsonl").unlink()
    gone = witness_of(Ground(ground.folder))
    with pytest.raises(Refused, match="SHRUNK"):
        await gone.round(gone.open())


async def test_a_crash_between_meaning_and_saying_ends_in_the_same_statement(ground: Ground) -> None:
    root = await grown(ground)
    add(ground, 70, root)
    ground.statements.intend(Head(ORIGIN, 70, root))
    again = Ground(ground.folder)
    again.log.entries = ground.log.entries
    witness = witness_of(again)
    assert await witness.round(witness.open())
    newest = again.statements.newest()
    assert newest is not None
    assert newest.head == Head(ORIGIN, 70, root)
    assert not await witness.round(witness.open())


@pytest.mark.parametrize("step", range(8))
def test_a_rotation_that_is_interrupted_is_ended_or_never_was(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = keys.open_key(tmp_path, ORIGIN)
    head = Head(ORIGIN, 40, bytes(range(32)))
    steps = iter(range(100))

    class Killed(BaseException):
        pass

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_synced", "write_atomically", "sync_folder", "_load"):
            patch.setattr(keys, name, dying(getattr(keys, name)))
        patch.setattr(Path, "replace", dying(Path.replace))
        with suppress(Killed):
            keys.rotate(tmp_path, head, old)
    key = keys.open_key(tmp_path, ORIGIN)
    told = keys.published(tmp_path)
    assert len(told) in (1, 2)
    assert told[-1]["vkey"] == verifier_of(ORIGIN, key).vkey
    if len(told) == 1:
        key = keys.rotate(tmp_path, head, key)
    assert keys.open_signed(tmp_path, sign(Head(ORIGIN, 40, bytes(32)), old)).size == 40
    assert keys.open_signed(tmp_path, sign(Head(ORIGIN, 41, bytes(32)), key)).size == 41
    with pytest.raises(BadNote, match="in use"):
        keys.open_signed(tmp_path, sign(Head(ORIGIN, 41, bytes(32)), old))
    with pytest.raises(BadNote, match="in use"):
        keys.open_signed(tmp_path, sign(Head(ORIGIN, 40, bytes(32)), key))


async def test_old_checkpoints_verify_after_a_rotation_and_either_key_leads_to_the_other(
    running: Archive, tmp_path: Path
) -> None:
    end = await running.tell(life_of_version("ab" * 32))
    early = await running.signed(end)
    old = await running.vkey()
    rotated = await running.stub.RotateLogKey(more.RotateLogKeyRequest(reason="yearly"), timeout=30)
    assert rotated.key.vkey != old
    later = await running.put("lifecycle.registry.risk.models.m1", b"a fact more")
    newest = await running.signed(later)
    assert parse_vkey(rotated.key.vkey).open(newest.note).size >= later
    assert parse_vkey(old).open(early.note).size >= end
    async with asyncio.timeout(20):
        while not newest.witnessed_note:
            newest = await running.signed(later)
    notary = await running.stub.GetNotary(rpc.GetNotaryRequest(), timeout=10)
    assert [one.to_size for one in notary.keys] == [notary.keys[1].from_size - 1, 0]
    witness = cosigner_in(notary.witness.vkey)
    line = newest.witnessed_note.splitlines()[-1]
    assert witness.time(line, Head(newest.origin, newest.head.size, newest.head.root_hash).body())
    bundle = await running.exported(tmp_path / "bundle.tar", proof_revisions=[later])
    for vkey in (old, rotated.key.vkey):
        report = audit.verify(bundle, vkey, seen=[early.note], witness=notary.witness.vkey)
        assert report.findings == [], vkey
        assert report.witnessed
    strange = verifier_of(notary.origin, Ed25519PrivateKey.generate()).vkey
    assert "BAD_SIGNATURE" in {one.code for one in audit.verify(bundle, strange).findings}
    wrong = cosigner_of("modelog.local/archive-witness", KEY).vkey
    assert {one.code for one in audit.verify(bundle, old, witness=wrong).findings} == {"NOT_WITNESSED"}
