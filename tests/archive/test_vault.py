"""The copy in files: what it keeps over crashes, and what it refuses to go on from."""

import asyncio
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kernel.log import Entry
from services.archive.vault.keeping import Keeping
from services.archive.vault.segment import Damage, frame, records
from services.archive.vault.vault import CopyTrouble, Vault
from testkit.memory_log import MemoryLog
from tests.archive.ground import HolyLog, messages
from tests.archive.trees import defined_root

LEVEL = 3  # 8 facts in a segment.


def opened(folder: Path, promised: int = 0) -> Vault:
    vault = Vault(folder, LEVEL)
    vault.open(promised)
    return vault


def payloads(entries: list[Entry]) -> list[bytes]:
    return [one.payload for one in entries]


def test_what_was_appended_is_there_and_leads_to_the_defined_roots(tmp_path: Path) -> None:
    entries, chance, vault, at = list(messages(61)), random.Random(3), opened(tmp_path), 0
    while at < len(entries):
        step = chance.randrange(1, 14)
        vault.append(entries[at : at + step])
        at = min(at + step, len(entries))
        if chance.random() < 0.3:
            vault = opened(tmp_path)
        assert vault.size == vault.end() == at
    assert list(vault.read(1, 61)) == entries
    assert list(vault.read(9, 17)) == entries[8:17]
    for size in range(62):
        assert vault.root(size) == defined_root(payloads(entries[:size]))
    with pytest.raises(KeyError):
        vault.root(62)
    assert [path.stat().st_mode & 0o777 for _, path in vault.segments()] == [0o400] * 7 + [0o600]


class Killed(BaseException):
    """A process that dies here."""


@pytest.mark.parametrize("step", range(28))
def test_a_crash_at_any_step_loses_nothing_that_was_kept(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = list(messages(30))
    vault = opened(tmp_path)
    vault.append(entries[:6])
    steps = iter(range(100))

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if next(steps) == step:
                if function is written:  # Half of it reaches the disk.
                    function(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Killed
            return function(*arguments, **keywords)

        return call

    written = os.write
    with monkeypatch.context() as patch:
        for name in ("write", "fsync", "open", "close"):
            patch.setattr(os, name, dying(getattr(os, name)))
        with suppress(Killed):
            vault.append(entries[6:19])
    again = opened(tmp_path, promised=6)
    assert 6 <= again.size <= 19
    again.append(entries[again.size :])
    assert list(again.read(1, 30)) == entries
    assert again.root(30) == defined_root(payloads(entries))
    assert [line["first"] for line in again.closed()] == [1, 9, 17]


def test_what_somebody_was_told_is_kept_is_never_cut_off(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.append(list(messages(6)))
    path = vault.segments()[-1][1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CopyTrouble, match="COPY_DAMAGED"):
        opened(tmp_path, promised=6)
    assert path.read_bytes() == whole[:-1]
    assert opened(tmp_path, promised=5).size == 5
    with pytest.raises(CopyTrouble, match="COPY_CUT"):
        opened(tmp_path, promised=6)


def test_damage_in_the_midst_stops_it(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.append(list(messages(12)))
    path = vault.segments()[-1][1]
    data = path.read_bytes()
    path.write_bytes(data[:30] + bytes([data[30] ^ 1]) + data[31:])
    with pytest.raises(CopyTrouble, match="revision 9"):
        opened(tmp_path)
    path.write_bytes(data + b"x")
    with pytest.raises(CopyTrouble, match="somebody else"):
        vault.append([Entry(13, "lifecycle.x", b"y")])
    with pytest.raises(CopyTrouble, match="OUT_OF_ORDER"):
        vault.append([Entry(15, "lifecycle.x", b"y")])
    closed = vault.segments()[0][1]
    closed.chmod(0o600)
    closed.write_bytes(closed.read_bytes()[:-3])
    with pytest.raises(CopyTrouble, match="not as long"):
        opened(tmp_path)


def test_records_are_found_behind_any_damage() -> None:
    entries, chance = list(messages(20)), random.Random(5)
    whole = [frame(one) for one in entries]
    for _ in range(200):
        at = chance.randrange(20)
        broken = bytearray(whole[at])
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        if bytes(broken) == whole[at]:
            continue
        data = b"".join([*whole[:at], bytes(broken), *whole[at + 1 :]])
        found = [one for _, one in records(data)]
        assert [one for one in found if isinstance(one, Entry)] == entries[:at] + entries[at + 1 :]
        assert sum(isinstance(one, Damage) for one in found) == 1


async def copied(log: MemoryLog, folder: Path, upto: int, promised: int = 0) -> Vault:
    """What a process that keeps the copy has made of the log, once it reaches `upto` or fails."""
    vault = Vault(folder, LEVEL)
    task = asyncio.create_task(Keeping(log, vault, lambda: promised).keep())
    try:
        async with asyncio.timeout(10):
            while not task.done() and vault.size < upto:
                await asyncio.sleep(0.005)
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, CopyTrouble):
            await task
    return vault


async def test_it_follows_the_log_over_restarts(tmp_path: Path) -> None:
    log = HolyLog()
    log.entries = list(messages(10))
    await copied(log, tmp_path, 10)
    log.entries = list(messages(25))
    vault = await copied(log, tmp_path, 25)
    assert list(vault.read(1, 25)) == log.entries
    assert vault.state()["state"] == "KEEPING"


async def test_a_log_that_diverges_shrank_or_lost_something_changes_nothing(tmp_path: Path) -> None:
    log = HolyLog()
    log.entries = list(messages(20))
    await copied(log, tmp_path, 20)
    before = [path.read_bytes() for _, path in Vault(tmp_path, LEVEL).segments()]
    other = list(messages(30, bytes_each=200))
    for entries, reason in (
        (list(messages(19)), "LOG_SHRUNK"),
        (other, "LOG_DIVERGED"),
        ([*list(messages(30))[:15], *other[15:]], "LOG_DIVERGED"),
    ):
        log.entries = entries
        with pytest.raises(CopyTrouble, match=reason):
            await copied(log, tmp_path, 30)
        assert [path.read_bytes() for _, path in Vault(tmp_path, LEVEL).segments()] == before


async def test_an_alarm_is_told_and_ends_when_the_log_fits_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.archive.vault.keeping._LOOK_SECONDS", 0.02)
    log, vault = HolyLog(), Vault(tmp_path, LEVEL)
    log.entries = list(messages(20))
    await copied(log, tmp_path, 20)
    lost = log.entries[4:7]
    del log.entries[4:7]
    log.entries += list(messages(22))[20:]
    task = asyncio.create_task(Keeping(log, vault, lambda: 0).run())
    try:
        async with asyncio.timeout(10):
            while vault.state().get("reason") != "LOG_HOLE":
                await asyncio.sleep(0.01)
            log.entries[4:4] = lost
            while vault.end() < 22 or vault.state()["state"] != "KEEPING":
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert list(vault.read(1, 22)) == log.entries
