"""The door of questions about access: may somebody do something, and who may do what."""

from collections.abc import Sequence
from datetime import datetime

from access.authority import project_name
from access.decision import decide, explained
from access.fold import EVERYWHERE
from access.grants import Grants, by_configuration, grants_of
from access.matrix import PERMISSIONS
from access.review import review
from kernel.errors import Denied, NotFound, invalid_field
from kernel.rooms import Rooms
from kernel.rpc import Context
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.access_pb2 import AccessReview, Decision
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import PROJECT
from services.registry.servicer.room import Room

_REVIEW = "registry.access.review"


class Access(Room):
    """What the installation's settings grant is known as of now only; the log tells the rest as of any moment."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self._configured = by_configuration(one for one in rooms.settings.administrators.split(",") if one)

    async def CheckAccess(self, request: rpc.CheckAccessRequest, context: Context) -> Decision:
        if request.permission not in PERMISSIONS:
            raise invalid_field("permission", f"there is no permission {request.permission!r}", "NO_PERMISSION")
        project = project_name(request.resource)
        if project:
            PROJECT.pattern.ids(project, "resource")
        if request.principal != context.caller.principal.id and not await context.may(_REVIEW, project):
            raise Denied("NOT_GRANTED", f"asking about others needs {_REVIEW} on {project or 'the whole installation'}")
        among, now = await self._among(project, request.read, context.now)
        outcome = decide(request.principal, request.permission, request.resource, among, now)
        return explained(outcome, request.principal, request.permission, request.resource, among)

    async def ReviewAccess(self, request: rpc.ReviewAccessRequest, context: Context) -> AccessReview:
        project = await self._resources.load(PROJECT, request.name, request.read)
        if not project.name:
            raise NotFound(PROJECT.not_found_reason, f"there is no {request.name}", metadata={"resource": request.name})
        everywhere = await self._resources.load(PROJECT, EVERYWHERE, request.read)
        now = await self._moment(request.read, context.now)
        return review(project, everywhere, self._configured, now)

    async def _among(self, project: str, read: ReadOptions, now: datetime) -> tuple[Sequence[Grants], datetime]:
        """What may allow something in a project, and the moment to judge it at."""
        names = dict.fromkeys(name for name in (project, EVERYWHERE) if name)
        found = [grants_of(name, await self._resources.load(PROJECT, name, read)) for name in names]
        return (*found, self._configured), await self._moment(read, now)
