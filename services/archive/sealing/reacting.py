"""VersionRetired leads to ArchivingStarted; that one, once the record is made or cannot be, to what came of it. An
approved restore leads to the artifact's being put back."""

import asyncio
from functools import partial

from kernel.reactor import Reaction
from kernel.rooms import Rooms
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from services.archive.domain import RECORD, restore
from services.archive.domain.record import fail, record_name, seal, start
from services.archive.sealing.content import Subject
from services.archive.sealing.sealer import Sealer
from services.archive.sealing.store import ArtifactTrouble, RecordStore


class Sealing:
    """Each reaction repeated ends where it would have ended at first."""

    def __init__(self, rooms: Rooms, sealer: Sealer, store: RecordStore) -> None:
        self._rooms = rooms
        self._sealer = sealer
        self._store = store

    async def retired(self, reaction: Reaction) -> None:
        version = reaction.fact.resource
        await self._rooms.transact(
            RECORD,
            await self._name_of(version, reaction.revision),
            reaction.cause("archive", reason="the version was retired"),
            partial(
                start,
                version=version,
                retired_revision=reaction.revision,
                artifact_sha256=reaction.event.artifact.sha256,
                artifact_uri=reaction.event.artifact.uri,
            ),
        )

    async def started(self, reaction: Reaction) -> None:
        name, attempt = reaction.fact.resource, reaction.fact.generation
        if (await self._record(name)).generation != attempt:
            return  # What came of this attempt is in the log already.
        event: facts.ArchivingStarted = reaction.event
        subject = Subject(name, event.version, event.artifact_sha256, reaction.revision)
        cause = reaction.cause("seal", reason="the version was retired")
        try:
            sealed = await self._sealer.seal(subject)
        except ArtifactTrouble as trouble:
            failed = partial(fail, attempt=attempt, reason=trouble.reason, message=str(trouble))
            await self._rooms.transact(RECORD, name, cause, failed)
        else:
            await self._rooms.transact(RECORD, name, cause, partial(seal, attempt=attempt, sealed=sealed))

    async def approved(self, reaction: Reaction) -> None:
        name, attempt = reaction.fact.resource, reaction.fact.generation
        record = await self._record(name)
        if record.generation != attempt:
            return
        cause = reaction.cause("restore", reason="two people agreed")
        try:
            await asyncio.to_thread(self._store.restore, record.manifest_sha256, record.artifact_sha256)
        except (ArtifactTrouble, FileNotFoundError) as trouble:
            reason = getattr(trouble, "reason", "ARTIFACT_MISSING")
            told = partial(restore.failed, attempt=attempt, reason=reason, message=str(trouble))
        else:
            told = partial(restore.restored, attempt=attempt, target=f"cas:sha256/{record.artifact_sha256}")
        await self._rooms.transact(RECORD, name, cause, told)

    async def _name_of(self, version: str, retired_revision: int) -> str:
        """The record of the life that ended at a revision: the first name that no former life has."""
        life = 1
        while True:
            name = record_name(version, life)
            record = await self._record(name)
            if not record.name or record.retired_revision >= retired_revision:
                return name
            life += 1

    async def _record(self, name: str) -> types.Record:
        record: types.Record = await self._rooms.resources.load(RECORD, name)
        return record
