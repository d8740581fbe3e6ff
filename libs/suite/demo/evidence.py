"""Takes a bundle out of the house and has it verified by a process that cannot reach anything."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.registry.v1 import events_pb2 as registry
from modelog.sdk import Entry
from modelog.type.v1.read_pb2 import ReadOptions
from suite.demo.stage import Stage

_SECONDS = 60.0


async def verify(stage: Stage, entries: Sequence[Entry]) -> dict[str, Any]:
    """Verifies root, facts and one fact's proof offline, and that a changed fact is noticed. What the log is now."""
    stage.note("verifying the exported bundle offline")
    approval = _approval(stage, entries)
    bundle = stage.folder / "bundle.tar"
    await _export(stage, bundle, approval.revision, len(entries))
    seen = stage.folder / "checkpoint-of-step-3"
    seen.write_text(stage.seen.checkpoint.note, encoding="utf-8")
    found = await _offline("verify", bundle, stage.seen.vkey, seen)
    stage.report.check("what is wrong with the bundle", [], found["findings"])
    stage.report.check("facts that lead to the signed root", len(entries), found["entries"])
    roots = found["checkpoints"]
    stage.report.check("signed roots that hold, that of step 3 among them", "at least 2", roots, ok=roots >= 2)
    payload = stage.folder / "approval.fact"
    payload.write_bytes(approval.payload)
    proved = await _offline("fact", bundle, stage.seen.vkey, payload, str(approval.revision))
    expected = {"proofs": 1, "findings": []}
    held = {"proofs": proved["proofs"], "findings": proved["findings"]}
    stage.report.check("proof of the fact that put version 1 into production", expected, held)
    forged = await _offline("forged", bundle, stage.seen.vkey, payload)
    named = [one["revision"] for one in forged["findings"] if one["code"] == "ENTRY_CHANGED"]
    stage.report.check("a forged fact is found, at its revision", [approval.revision], named)
    return {
        "origin": found["origin"],
        "length": found["size"],
        "root": found["root"],
        "vkey": stage.seen.vkey,
        "bundle": str(bundle),
    }


def _approval(stage: Stage, entries: Sequence[Entry]) -> Entry:
    """The StageChanged that put version 1 into production."""
    name = stage.names.version(1)
    return next(
        entry for entry in entries if entry.fact and entry.fact.resource == name and _to_production(entry.event)
    )


def _to_production(event: object) -> bool:
    return isinstance(event, registry.StageChanged) and event.to_stage == "production"


async def _export(stage: Stage, bundle: Path, proof: int, head: int) -> None:
    request = rpc.ExportBundleRequest(proof_revisions=[proof], read=ReadOptions(at_least=head))
    with bundle.open("wb") as file:
        async for reply in stage.client.archive.ExportBundle(request, timeout=_SECONDS):
            file.write(reply.chunk)


async def _offline(*arguments: str | Path) -> dict[str, Any]:
    """What a process of its own, in which every use of a socket fails, finds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "suite.demo.offline",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
    if process.returncode:
        raise RuntimeError(f"the offline verification ended with {process.returncode}: {errors.decode()[-500:]}")
    found: dict[str, Any] = json.loads(output)
    return found
