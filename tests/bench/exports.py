"""Export: how fast the log is written to Parquet by a client of a real archive, and verified again."""

import asyncio
import time
from pathlib import Path
from typing import Any

from modelog.archive.v1.archive_service_pb2 import GetCheckpointRequest
from modelog.exports import FORMS, export_facts, verify_export
from modelog.sdk import connect_sync
from tests.archive.test_kill import process
from tests.bench.effort import Effort
from tests.bench.ground import Ground, publish
from tests.bench.outcome import Outcome, middle
from tests.bench.samples import foundation, model_name, registered

_CATCH_UP_SECONDS = 300.0
_LEAST_FACTS = 40_000  # Fewer are done before what it costs to begin is small.


async def export(ground: Ground, effort: Effort) -> Outcome:
    """Registrations of 570 bytes, from the archive's ReadFacts to files with a manifest; then all of it verified."""
    model, folder = model_name("exported"), ground.folder / "exports"
    async with ground.log() as log:
        stored = [*foundation([model]), *registered(model, max(_LEAST_FACTS, effort.deep))]
        count = await publish(log, stored)
        archive = process(log, ground.postgres, folder, ground.schema(), sign_pause_seconds="0.5")
        await archive.start()
        try:
            read = await asyncio.to_thread(_read, archive.address, count)
            # Loading pyarrow and the kinds of events takes as long as some thousand facts, whatever their number.
            await asyncio.to_thread(_round, archive.address, folder / "warm", "parquet")
            rounds = [
                await asyncio.to_thread(_round, archive.address, folder / f"{form}{number}", form)
                for form in FORMS
                for number in range(effort.rounds)
            ]
        finally:
            await archive.stop()
    rates = {form: middle([one for one in rounds if one["form"] == form], "per_second") for form in FORMS}
    verified = {form: middle([one for one in rounds if one["form"] == form], "verified_per_second") for form in FORMS}
    return Outcome(
        name="export",
        question=f"{count:,} facts to Parquet",
        figure=rates["parquet"],
        target=20_000,
        unit="facts/s",
        ours=", ".join(f"{form} {rate:,.0f}/s" for form, rate in rates.items()),
        is_ratio=False,
        rounds=rounds,
        floor=f"read alone {read:,.0f}/s",
        notes={"verified again, facts/s": verified},
    )


def _read(address: str, count: int) -> float:
    """Facts a second that a client gets when it does nothing with them, once a signed root covers them all."""
    with connect_sync(archive=address, actor="users/bench", deadline_seconds=_CATCH_UP_SECONDS) as client:
        client.archive.GetCheckpoint(GetCheckpointRequest(covering_revision=count, wait=True))
        began = time.perf_counter()
        read = sum(1 for _ in client.subscribe(to_revision=count, follow=False))
        return read / (time.perf_counter() - began)


def _round(address: str, folder: Path, form: str) -> dict[str, Any]:
    with connect_sync(archive=address, actor="users/bench", deadline_seconds=_CATCH_UP_SECONDS) as client:
        client.catch_up("archive")
        began, processor = time.perf_counter(), time.process_time()
        done = export_facts(client, folder, form)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    began = time.perf_counter()
    report = verify_export(folder)
    if not report.ok or report.entries != done.rows:
        raise RuntimeError(f"the export does not verify: {report}")
    return {
        "form": form,
        "per_second": done.rows / seconds,
        "cpu_us": processor / done.rows * 1e6,
        "verified_per_second": done.rows / (time.perf_counter() - began),
    }
