"""Retired versions become records; what has expired of them is erased, and so is what people wrote, when asked."""

import asyncio
from functools import partial

from kernel.reactor import Reaction, Reactions
from kernel.rooms import Rooms
from modelog.archive.v1 import erasure_events_pb2 as erasures
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from services.archive.domain import RECORD, restore
from services.archive.domain.record import fail, record_name, seal, start
from services.archive.expiry.reacting import Erasing
from services.archive.parts import Parts
from services.archive.sealing.content import Subject
from services.archive.sealing.store import ArtifactTrouble


def reactions(rooms: Rooms) -> Reactions:
    """VersionRetired leads to ArchivingStarted; that one, once the record is made or cannot be, to what came of it."""
    parts = Parts(rooms)
    parts.store.sweep()

    async def retired(reaction: Reaction) -> None:
        version = reaction.fact.resource
        await rooms.transact(
            RECORD,
            await _name_of(rooms, version, reaction.revision),
            reaction.cause("archive", reason="the version was retired"),
            partial(
                start,
                version=version,
                retired_revision=reaction.revision,
                artifact_sha256=reaction.event.artifact.sha256,
                artifact_uri=reaction.event.artifact.uri,
            ),
        )

    async def started(reaction: Reaction) -> None:
        name, attempt = reaction.fact.resource, reaction.fact.generation
        record: types.Record = await rooms.resources.load(RECORD, name)
        if record.generation != attempt:
            return  # What came of this attempt is in the log already.
        event: facts.ArchivingStarted = reaction.event
        subject = Subject(name, event.version, event.artifact_sha256, reaction.revision)
        cause = reaction.cause("seal", reason="the version was retired")
        try:
            sealed = await parts.sealer.seal(subject)
        except ArtifactTrouble as trouble:
            failed = partial(fail, attempt=attempt, reason=trouble.reason, message=str(trouble))
            await rooms.transact(RECORD, name, cause, failed)
        else:
            await rooms.transact(RECORD, name, cause, partial(seal, attempt=attempt, sealed=sealed))

    async def approved(reaction: Reaction) -> None:
        """Putting it back twice is putting it back once, so a crash in between does no harm."""
        name, attempt = reaction.fact.resource, reaction.fact.generation
        record: types.Record = await rooms.resources.load(RECORD, name)
        if record.generation != attempt:
            return
        cause = reaction.cause("restore", reason=reaction.fact.reason)
        try:
            await asyncio.to_thread(parts.store.restore, record.manifest_sha256, record.artifact_sha256)
        except (ArtifactTrouble, FileNotFoundError) as trouble:
            reason = getattr(trouble, "reason", "ARTIFACT_MISSING")
            told = partial(restore.failed, attempt=attempt, reason=reason, message=str(trouble))
        else:
            told = partial(restore.restored, attempt=attempt, target=f"cas:sha256/{record.artifact_sha256}")
        await rooms.transact(RECORD, name, cause, told)

    return {
        facts.RecordRestoreApproved: approved,
        registry.VersionRetired: retired,
        facts.ArchivingStarted: started,
        erasures.ErasureRequested: parts.erasing.carry_out,
        facts.RecordExpired: Erasing(rooms).expired,
    }


async def _name_of(rooms: Rooms, version: str, retired_revision: int) -> str:
    """The record of the life that ended at a revision: the first name that no former life has."""
    life = 1
    while True:
        name = record_name(version, life)
        record: types.Record = await rooms.resources.load(RECORD, name)
        if not record.name or record.retired_revision >= retired_revision:
            return name
        life += 1
