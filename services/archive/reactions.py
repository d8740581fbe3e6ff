"""Retired versions become records, and what is to be erased is."""

from functools import partial

from kernel.reactor import Reaction, Reactions
from kernel.rooms import Rooms
from modelog.archive.v1 import erasure_events_pb2 as erasures
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from services.archive.domain import RECORD
from services.archive.domain.record import fail, record_name, seal, start
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
            record_name(version),
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

    return {
        registry.VersionRetired: retired,
        facts.ArchivingStarted: started,
        erasures.ErasureRequested: parts.erasing.carry_out,
    }
