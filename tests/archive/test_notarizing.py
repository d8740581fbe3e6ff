"""The notary as a process of its own: its tree in files, what it may do, and what a crash and a liar come to."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kernel.position import Position
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1.evidence_requests_pb2 import RotateLogKeyRequest
from services.archive.files import write_atomically
from services.archive.keys import KEY_FILE, published
from services.archive.merkle import leaf_hash
from services.archive.notarizing.__main__ import locked
from services.archive.notarizing.following import Diverged, Following
from services.archive.notarizing.tree import TreeDamaged, TreeFiles, grouped
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.process import Process
from tests.archive.calls import Archive, archive
from tests.archive.ground import HolyLog, messages
from tests.archive.stories import life_of_version
from tests.archive.trees import Log

LEAVES = [hashlib.sha256(str(number).encode()).digest() for number in range(70_000)]


def grown(folder: Path, upto: int, step: int = 1000) -> TreeFiles:
    tree = TreeFiles(folder)
    tree.open()
    while tree.size < upto:
        tree.append(LEAVES[tree.size : min(tree.size + step, upto)])
    return tree


async def test_roots_are_those_of_the_reference_at_any_size_and_after_reopening(tmp_path: Path) -> None:
    payloads = [str(number).encode() for number in range(700)]
    tree, reference = TreeFiles(tmp_path), Log(payloads)
    tree.open()
    for start in range(0, 700, 37):
        tree.append([leaf_hash(one) for one in payloads[start : start + 37]])
    for again in (tree, reopened(tmp_path)):
        for size in (1, 2, 255, 256, 257, 511, 512, 513, 699, 700):
            assert await again.root(size) == reference.root(size), size
    with pytest.raises(KeyError):
        await tree.root(701)
    assert tree.leaves(250, 260) == [leaf_hash(one) for one in payloads[250:260]]


def reopened(folder: Path) -> TreeFiles:
    tree = TreeFiles(folder)
    tree.open()
    return tree


def test_tiles_lie_where_the_specification_has_them(tmp_path: Path) -> None:
    grown(tmp_path, 66_000, step=5000)
    found = {str(one.relative_to(tmp_path)) for one in (tmp_path / "tile").rglob("*") if one.is_file()}
    assert {f"tile/0/{grouped(number)}" for number in range(257)} <= found
    assert found - {f"tile/0/{grouped(number)}" for number in range(257)} == {
        "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1",
    }  # fmt: skip
    assert (tmp_path / "tile/0/000").read_bytes() == b"".join(LEAVES[:256])
    assert grouped(1234067) == "x001/x234/067"


class Killed(BaseException):
    """A process that dies here."""


@pytest.mark.parametrize("step", range(12))
async def test_a_crash_in_the_midst_of_an_append_changes_nothing(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, steps = grown(tmp_path, 250, step=250), iter(range(1000))

    def dying(*arguments: Any) -> None:
        if next(steps) == step:
            raise Killed
        write(*arguments)

    write = write_atomically
    with monkeypatch.context() as patch:
        patch.setattr("services.archive.notarizing.tree.write_atomically", dying)
        with suppress(Killed):
            tree.append(LEAVES[250:600])
    again = grown(tmp_path, 600, step=50)
    assert await again.root(600) == await grown(tmp_path / "other", 600).root(600)


def test_a_tile_that_is_gone_or_cut_is_told(tmp_path: Path) -> None:
    grown(tmp_path, 300)
    tile = tmp_path / "tile/0/001.p/44"
    tile.chmod(0o644)
    tile.write_bytes(tile.read_bytes()[:-1])
    with pytest.raises(TreeDamaged):
        reopened(tmp_path)


async def test_a_log_that_is_another_one_is_not_followed(tmp_path: Path) -> None:
    log, other = HolyLog(), HolyLog()
    for one in messages(20):
        log.put(one.subject, one.payload)
        other.put(one.subject, one.payload + b"\x00")
    position = Position()
    following = asyncio.create_task(Following(log, TreeFiles(tmp_path), position).follow())
    await position.wait(20)
    following.cancel()
    with pytest.raises(Diverged):
        await Following(other, TreeFiles(tmp_path), Position()).follow()


def test_two_do_not_sign_in_one_folder(tmp_path: Path) -> None:
    held = locked(tmp_path)
    with pytest.raises(SystemExit, match="another notary"):
        locked(tmp_path)
    os.close(held)
    os.close(locked(tmp_path))


@asynccontextmanager
async def notary(nats: NatsServer, folder: Path, *, pause_seconds: float = 0.05) -> AsyncIterator[Process]:
    arguments = ["--nats", nats.address, "--password-file", str(nats.password_file("notary"))]
    arguments += ["--api-prefix", API_PREFIX, "--folder", str(folder / "signed"), "--key-folder", str(folder / "key")]
    arguments += ["--asks", str(folder / "asks"), "--pause-seconds", str(pause_seconds)]
    process = await Process.start(
        "notary",
        [sys.executable, "-m", "services.archive.notarizing", *arguments],
        log=folder / "notary.log",
        environment={**{name: os.environ[name] for name in os.environ if not name.startswith("MODELOG_")}},
        folder=Path.cwd(),
    )
    try:
        yield process
    finally:
        await process.kill()


async def witnessed(up: Archive, size: int) -> None:
    async with asyncio.timeout(30):
        while (await up.stub.GetNotary(rpc.GetNotaryRequest(), timeout=10)).witness.witnessed_size < size:
            await asyncio.sleep(0.05)


async def test_it_alone_has_the_key_signs_through_a_crash_and_rotates(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    settings: dict[str, Any] = {"notary_folder": str(tmp_path / "signed"), "notary_asks": str(tmp_path / "asks")}
    story = life_of_version("ab" * 32)
    async with archive(nats, postgres, tmp_path, schema, **settings) as up:
        async with notary(nats, tmp_path):
            await witnessed(up, await up.tell(story))
        assert not list((tmp_path / "data").rglob(KEY_FILE)), "the archive has no key"
        first = json.loads((tmp_path / "signed" / "head.json").read_text())
        async with notary(nats, tmp_path):  # The one before was killed.
            last = await up.put("lifecycle.registry.risk.models.more", b"something unreadable")
            await witnessed(up, last)
            rotated = await up.stub.RotateLogKey(RotateLogKeyRequest(), timeout=20)
            assert rotated.key.from_size > first["size"]
            await witnessed(up, await up.put("lifecycle.registry.risk.models.more", b"and another"))
        assert len(published(tmp_path / "signed")) == 2
        assert {one.name for one in (tmp_path / "key").iterdir()} == {KEY_FILE}
        tree = reopened(tmp_path / "signed" / "tree")
        entries = await up.entries()
        assert await tree.root(tree.size) == Log([one.payload for one in entries[: tree.size]]).root(tree.size)
