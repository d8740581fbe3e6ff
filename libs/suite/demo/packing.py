"""Part of step 7: Eva packs the model's whole life into one signed folder, and has it verified without any server."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelog import packs
from modelog.provenance.keys import key_of
from modelog.sdk import connect_sync
from suite.demo.stage import EVA, Stage


async def play(stage: Stage) -> None:
    """The pack holds; with one character of one table changed it does not, and says where."""
    stage.note("packing the model's life")
    key = Ed25519PrivateKey.generate()
    folder = stage.folder / "pack"
    made = await asyncio.to_thread(_make, stage, folder, key)
    facts = made["facts"]
    stage.report.check("facts in the pack, each with its own proof", "at least 20", facts, ok=facts >= 20)
    stage.report.check("what is wrong with the pack", [], await _wrong(stage, folder, key))
    changed = stage.folder / "pack-changed"
    shutil.copytree(folder, changed)
    table = min(changed.rglob("*.csv"))
    table.chmod(0o644)
    table.write_bytes(table.read_bytes().replace(b"a", b"b", 1))
    named = await _wrong(stage, changed, key)
    told = any(str(table.relative_to(changed)) in one for one in named)
    stage.report.check("a table that was changed is named", True, told)


def _make(stage: Stage, folder: Path, key: Ed25519PrivateKey) -> dict[str, Any]:
    addresses, model = stage.suite.addresses, stage.names.model
    with connect_sync(
        registry=addresses["registry"],
        deployment=addresses["deployment"],
        monitoring=addresses["monitoring"],
        archive=addresses["archive"],
        token=lambda: stage.by.token(EVA),
    ) as client:
        return packs.make(client, None, [stage.names.project], lambda reading: packs.life(reading, model), folder, key)


async def _wrong(stage: Stage, folder: Path, key: Ed25519PrivateKey) -> list[str]:
    report = await asyncio.to_thread(packs.verify, folder, stage.seen.vkey, [key_of(key.public_key())])
    return [str(one) for one in report.findings]
