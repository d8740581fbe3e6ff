"""Carries out what expired, after the fact: judged once more at its place in the log, then erased, then told.

Between looking at the holds and recording RecordExpired somebody may have placed another one. The log decides: what
comes before the RecordExpired counts, and an expiry that it speaks against is withdrawn before anything is erased. A
crash at any moment ends in the same reaction to the same fact, and in the same answer.
"""

import asyncio
from datetime import UTC
from functools import partial

from kernel.names import project_of
from kernel.reactor import Reaction
from kernel.rooms import Rooms
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1.record_erasures_pb2 import ArtifactOutcome
from modelog.archive.v1.retentions_pb2 import KnownVersion
from modelog.archive.v1.types_pb2 import RECORD_STATE_EXPIRED, Record
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive.domain import KNOWN_VERSION, RECORD
from services.archive.domain.expiring import Verdict, erase, judge, stands, withdraw
from services.archive.domain.known import digests
from services.archive.domain.record import record_name
from services.archive.expiry.standing import standing_of
from services.archive.parts import Parts
from services.archive.sealing import erasing


class Expired:
    """`carry_out` is the reaction to RecordExpired."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        parts = Parts(rooms)
        self._copy, self._store, self._texts = parts.copy, parts.store, parts.erasing

    async def carry_out(self, reaction: Reaction) -> None:
        name, attempt = reaction.fact.resource, reaction.fact.generation
        record: Record = await self._rooms.resources.load(RECORD, name)
        if record.generation != attempt:
            return  # What came of it is in the log already.
        event: facts.RecordExpired = reaction.event
        verdict = await self._verdict(name, reaction.revision - 1)
        if not stands(verdict, event.rule, reaction.fact.recorded_at.ToDatetime(tzinfo=UTC)):
            cause = reaction.cause("withdraw", reason="something kept it when it expired")
            take_back = partial(withdraw, attempt=attempt, expire_revision=reaction.revision, holds=verdict.holds)
            await self._rooms.transact(RECORD, name, cause, take_back)
            return
        await asyncio.to_thread(erasing.erase, self._store.open(record.manifest_sha256), event.erased_paths)
        outcome = await self._erase_artifact(record)
        texts = await self._texts.forget(record.version, reaction.revision)
        told = partial(erase, attempt=attempt, expire_revision=reaction.revision, artifact=outcome, text_count=texts)
        await self._rooms.transact(RECORD, name, reaction.cause("erase", reason=reaction.fact.reason), told)

    async def _verdict(self, name: str, revision: int) -> Verdict:
        """What becomes of the record by everything up to and including a revision."""
        resources, read = self._rooms.resources, ReadOptions(as_of_revision=revision)
        record: Record = await resources.load(RECORD, name, read)
        version = await resources.load(KNOWN_VERSION, record.version, read)
        return judge(record, version, await standing_of(resources, project_of(name), read))

    async def _erase_artifact(self, record: Record) -> ArtifactOutcome:
        """In the store that the registry names: what no version has whose record is not erased, this one aside."""
        await self._rooms.resources.catch_up()  # Somebody may just have registered the same bytes.
        own = digests(await self._rooms.resources.load(KNOWN_VERSION, record.version)) or {record.artifact_sha256}
        others = await self._copy.registered_with(sorted(own))
        live: set[str] = set()
        for version in others:
            if version != record.version and not await self._is_erased(version):
                known: KnownVersion = await self._rooms.resources.load(KNOWN_VERSION, version)
                live |= own if known.HasField("quarantine") else digests(known)
        return await asyncio.to_thread(erasing.erase_artifact, self._store.artifacts, own - live, own & live)

    async def _is_erased(self, version: str) -> bool:
        """Whether its record is erased, and it has not been brought back."""
        record: Record = await self._rooms.resources.load(RECORD, record_name(version))
        known = await self._rooms.resources.load(KNOWN_VERSION, version)
        return record.state == RECORD_STATE_EXPIRED and record.HasField("erase_time") and known.retired
