"""An archive's stores with real files and tables in memory, filled by the real notary and the real witness."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel.log import Entry, Hole
from kernel.position import Position
from modelog.log.v1.fact_pb2 import Fact
from services.archive.checkpoints import Checkpoints, Ledger
from services.archive.keys import open_key
from services.archive.merkle import span_hash
from services.archive.notary import Notary
from services.archive.reading import Row, row_of
from services.archive.scrub.findings import Report
from services.archive.scrub.scrub import Stores, scrub
from services.archive.tiles import TileId, node_from
from services.archive.vault.vault import Vault
from services.archive.witness.statements import Statements
from services.archive.witness.witness import Witness
from testkit.memory_log import MemoryLog
from tests.archive.trees import ORIGIN, Log

LEVEL = 6  # 64 facts in a segment.


class HolyLog(MemoryLog):
    """A log that may have lost entries: as JetStream, it numbers what is left as before and skips the rest."""

    async def head(self) -> int:
        return self.entries[-1].revision if self.entries else 0

    async def follow(self, after: int, *, linger_seconds: float = 0.0, below: str = "") -> Any:
        while True:
            batch: list[Entry] = []
            for one in self.entries:
                if one.revision <= after:
                    continue
                if one.revision != after + 1:
                    if batch:
                        break
                    raise Hole(after + 1, one.revision)
                batch.append(one)
                after = one.revision
                if len(batch) == 1000:
                    break
            if not batch:
                await self._grow(len(self.entries) + 1)
            yield batch


@dataclass
class Tables:
    """The views, in memory: rows of `entry` and tiles."""

    entries: list[Row] = field(default_factory=list)
    held: dict[TileId, bytes] = field(default_factory=dict)

    async def rows(self, first: int, last: int) -> Sequence[Row]:
        return [one for one in self.entries[max(0, first - 9) : last + 9] if first <= one.revision <= last]

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        return {one: self.held[one] for one in wanted if one in self.held}


def messages(count: int, bytes_each: int = 80) -> Iterator[Entry]:
    """Facts of a few models in turn, which the archive keeps but does not fold into anything."""
    for at in range(count):
        generation, number = divmod(at, 7)
        name = f"projects/risk/models/m{number}"
        fact = Fact(id=f"{at:032x}", resource=name, generation=generation + 1, request_id=f"r{at}")
        fact.recorded_at.seconds = 1_700_000_000 + at
        fact.reason = "because " * (bytes_each // 12)
        yield Entry(at + 1, f"lifecycle.registry.risk.models.m{number}", fact.SerializeToString(deterministic=True))


class Ground:
    """Everything in order; `copied` gives a copy to tamper with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = HolyLog()
        self.tables = Tables()
        self.vault = Vault(folder / "copy", LEVEL)
        self.checkpoints = Checkpoints(folder / "notary", ORIGIN)
        self.statements = Statements(folder / "witness", ORIGIN)

    async def fill(self, count: int, step: int, **kind: Any) -> "Ground":
        """With a checkpoint every `step` facts, all of them made by the real notary and the real witness."""
        tree, position = Log(), Position()
        self.vault.open()
        key = open_key(self.checkpoints.folder, ORIGIN)
        ledger = Ledger(self.checkpoints)
        ledger.open()

        class Roots:
            async def root(self, size: int) -> bytes:
                return tree.root(size)

            async def hashes(self, spans: Any) -> list[bytes]:
                return [span_hash(span, node_from(tree.tiles)) for span in spans]

        def clock() -> datetime:
            return datetime.fromtimestamp(1_800_000_000 + len(tree.payloads), UTC)

        notary = Notary(
            origin=ORIGIN,
            key=lambda: key,
            ledger=ledger,
            roots=Roots(),
            position=position,
            log=self.log,
            clock=clock,
            pause_seconds=0,
        )
        witness = Witness(
            name="witness.test",
            checkpoints=self.checkpoints,
            statements=self.statements,
            vault=self.vault,
            tiles=Roots(),
            reach=lambda: len(tree.payloads),
            clock=clock,
        )
        vouching = witness.open()
        waiting = list(messages(count, **kind))
        for start in range(0, count, step):
            part = waiting[start : start + step]
            self.log.entries += part
            tree.append([one.payload for one in part])
            self.vault.append(part)
            self.tables.entries += [row_of(one) for one in part]
            position.advance(part[-1].revision)
            await notary.round(key)
            assert await witness.round(vouching)
        self.tables.held = tree.tiles
        return self

    def copied(self, folder: Path) -> "Ground":
        shutil.copytree(self.folder, folder)
        other = Ground(folder)
        other.log.entries = list(self.log.entries)
        other.tables = Tables(list(self.tables.entries), dict(self.tables.held))
        return other

    async def scrub(self, patience_seconds: float = 0.0) -> Report:
        async def settled(_revision: int) -> None:
            return None

        stores = Stores(
            log=self.log,
            vault=self.vault,
            views=self.tables,
            notary_dir=self.checkpoints.folder,
            statements=self.statements,
            settled=settled,
            patience_seconds=patience_seconds,
        )
        return await scrub(stores, len(self.tables.entries))
