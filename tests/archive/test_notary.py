"""The notary: what it signs, what it refuses, and what a crash leaves."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kernel.log import Hole
from kernel.position import Position
from services.archive import notary
from services.archive.checkpoint import Head, parse_vkey
from services.archive.checkpoints import Checkpoints, Ledger
from services.archive.keys import KeyTrouble, open_key, published, verifiers
from services.archive.notary import Alarm, Notary
from testkit.memory_log import MemoryLog
from tests.archive.trees import KEY, ORIGIN, VKEY, Log, facts


@dataclass
class Copied:
    """A log with its copy, as far as the notary sees them."""

    folder: Path
    log: MemoryLog = field(default_factory=MemoryLog)
    tree: Log = field(default_factory=Log)
    position: Position = field(default_factory=Position)

    def append(self, count: int) -> None:
        start = len(self.tree.payloads)
        self.write(facts(start + count)[start:])

    def write(self, payloads: list[bytes]) -> None:
        for one in payloads:
            self.log.put("lifecycle.test", one)
        self.tree.append(payloads)
        self.position.advance(len(self.tree.payloads))

    async def root(self, size: int) -> bytes:
        return self.tree.root(size)

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder, ORIGIN)

    def notary(self, key: Callable[[], Ed25519PrivateKey] = lambda: KEY) -> Notary:
        ledger = Ledger(self.checkpoints)
        ledger.open()
        return Notary(
            origin=ORIGIN,
            key=key,
            ledger=ledger,
            roots=self,
            position=self.position,
            log=self.log,
            clock=lambda: datetime(2026, 3, 1, tzinfo=UTC),
            pause_seconds=0.01,
        )


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    return Copied(tmp_path / "notary")


@asynccontextmanager
async def signing(one: Notary) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_every_fact_is_signed_soon_and_every_checkpoint_verifies(copied: Copied) -> None:
    async with signing(copied.notary()):
        for count in (1, 5, 300, 7):
            copied.append(count)
            size = len(copied.tree.payloads)
            async with asyncio.timeout(5):
                signed = await copied.checkpoints.wait_covering(size)
            assert signed.head == Head(ORIGIN, size, copied.tree.root(size))
    checkpoints = copied.checkpoints
    assert checkpoints.count() >= 4
    verifier = parse_vkey(VKEY)
    for place in range(checkpoints.count()):
        one = checkpoints.number(place)
        assert verifier.open(one.note) == one.head
        assert one.head.root == copied.tree.root(one.head.size)
    assert checkpoints.state()["state"] == notary.SIGNING


async def test_it_never_signs_a_log_that_contradicts_what_it_signed(copied: Copied) -> None:
    copied.append(10)
    await copied.notary().round(KEY)
    changed = Copied(copied.folder)
    changed.write([b"rewritten", *facts(12)[1:]])
    with pytest.raises(Alarm) as alarm:
        await changed.notary().round(KEY)
    assert alarm.value.reason == "CONTRADICTION"
    assert [one.head.size for _, one in copied.checkpoints.page(0, 10)] == [10]


async def test_it_stops_at_a_log_that_shrank(copied: Copied) -> None:
    copied.append(10)
    await copied.notary().round(KEY)
    copied.log.entries.pop()
    with pytest.raises(Alarm) as alarm:
        await copied.notary().round(KEY)
    assert alarm.value.reason == "SHRUNK"


async def test_it_stops_at_a_hole(copied: Copied) -> None:
    copied.append(3)
    await copied.notary().round(KEY)
    copied.log.put("lifecycle.test", b"behind the hole")
    copied.position.halt(str(Hole(4, 5)))
    with pytest.raises(Alarm) as alarm:
        await copied.notary().round(KEY)
    assert alarm.value.reason == "COPY_HALTED"
    assert copied.checkpoints.count() == 1


async def test_an_alarm_is_written_down_and_ends_when_the_log_fits_again(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notary, "_LOOK_SECONDS", 0.02)
    copied.append(10)
    await copied.notary().round(KEY)
    lost = copied.log.entries.pop()
    async with signing(copied.notary()):
        await until(lambda: copied.checkpoints.state()["state"] == notary.ALARM)
        assert copied.checkpoints.state()["reason"] == "SHRUNK"
        copied.log.entries.append(lost)
        copied.append(1)
        await until(lambda: copied.checkpoints.count() == 2)
        assert copied.checkpoints.state()["state"] == notary.SIGNING


async def test_a_copy_that_is_built_again_is_waited_for(copied: Copied) -> None:
    copied.append(10)
    await copied.notary().round(KEY)
    again = Copied(copied.folder, log=copied.log)
    one = again.notary()
    task = asyncio.create_task(one.round(KEY))
    await until(lambda: again.checkpoints.state().get("state") == notary.CATCHING_UP)
    again.tree.append(facts(10))
    again.position.advance(10)
    await task
    assert again.checkpoints.count() == 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


class Killed(BaseException):
    """A process that dies here."""


@pytest.mark.parametrize("step", range(12))
async def test_a_crash_at_any_step_leaves_one_truth(copied: Copied, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    copied.append(4)
    await copied.notary().round(KEY)
    copied.append(4)
    steps = iter(range(100))

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "open", "close"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(Path, "replace", dying(Path.replace))
        with suppress(Killed):
            await copied.notary().round(KEY)
    meant = Ledger(copied.checkpoints).head()
    copied.append(1)  # The log goes on before the next process starts.
    one = copied.notary()
    await one.round(KEY)
    sizes = [place.head.size for _, place in reversed(copied.checkpoints.page(0, 10))]
    assert sizes[-1] == 9
    assert sizes == sorted(set(sizes))
    assert meant is not None
    assert meant.size in sizes, "what was meant to be signed has to be signed"
    for _, place in copied.checkpoints.page(0, 10):
        assert place.head.root == copied.tree.root(place.head.size)


async def test_a_half_written_line_is_dropped(copied: Copied) -> None:
    copied.append(4)
    await copied.notary().round(KEY)
    path = copied.folder / "checkpoints.jsonl"
    with path.open("ab") as file:
        file.write(b'{"size": 5, "note": "' + b"x" * 9000)
    reader = copied.checkpoints
    assert reader.count() == 1
    copied.append(2)
    await copied.notary().round(KEY)
    assert [one.head.size for _, one in reader.page(0, 10)] == [6, 4]


async def test_checkpoints_are_found(copied: Copied) -> None:
    for _ in range(5):
        copied.append(10)
        await copied.notary().round(KEY)
    checkpoints = copied.checkpoints
    assert checkpoints.newest() == checkpoints.of_size(50)
    assert checkpoints.of_size(11) is None
    assert [found.head.size for one in (1, 10, 11, 50) if (found := checkpoints.covering(one))] == [10, 10, 20, 50]
    assert checkpoints.covering(51) is None
    first = checkpoints.page(0, 2)
    assert [one.head.size for _, one in first] == [50, 40]
    assert [one.head.size for _, one in checkpoints.page(first[-1][0], 9)] == [30, 20, 10]
    assert [one.head.size for one in checkpoints.sample(11, 50, 9)] == [20, 30, 40]
    assert [one.head.size for one in checkpoints.sample(1, 51, 2)] == [10, 40]
    assert Checkpoints(copied.folder / "nowhere", ORIGIN).newest() is None


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    key = open_key(tmp_path, ORIGIN)
    path = tmp_path / "log.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    again = open_key(tmp_path, ORIGIN)
    assert again.private_bytes_raw() == key.private_bytes_raw()
    assert [one.public for one in verifiers(tmp_path)] == [key.public_key().public_bytes_raw()]
    assert published(tmp_path)[0]["vkey"].startswith(ORIGIN + "+")
    (tmp_path / "keys.json").unlink()
    assert open_key(tmp_path, ORIGIN).private_bytes_raw() == key.private_bytes_raw()
    assert len(verifiers(tmp_path)) == 1


def test_a_key_that_was_lost_laid_open_or_made_for_another_log_is_not_used(tmp_path: Path) -> None:
    open_key(tmp_path, ORIGIN)
    with pytest.raises(KeyTrouble, match="another log"):
        open_key(tmp_path, "other.test/log")
    path = tmp_path / "log.key"
    path.chmod(0o444)
    with pytest.raises(KeyTrouble, match="read by others"):
        open_key(tmp_path, ORIGIN)
    path.unlink()
    with pytest.raises(KeyTrouble, match="gone"):
        open_key(tmp_path, ORIGIN)
