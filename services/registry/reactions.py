"""Facts of other services that lead to facts here."""

from functools import partial

from kernel.names import project_of
from kernel.reactor import Reaction, Reactions
from kernel.rooms import Rooms
from modelog.archive.v1 import events_pb2 as archive
from services.registry.domain import PROJECT, VERSION
from services.registry.domain.version import archive_version


def reactions(rooms: Rooms) -> Reactions:
    """RecordSealed leads to VersionArchived: the registry's own word that a version is in the archive."""

    async def archived(reaction: Reaction) -> None:
        version = reaction.event.version
        await rooms.transact(
            VERSION,
            version,
            reaction.cause("archived", reason="the archive sealed its record"),
            partial(archive_version, record=reaction.fact.resource),
            reads=((PROJECT, project_of(version)),),
        )

    return {archive.RecordSealed: archived}
