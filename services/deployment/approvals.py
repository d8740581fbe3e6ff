"""The door's part that concerns what an environment asks of rollouts: checks, approvals, lifted freezes."""

from datetime import timedelta
from functools import partial

from access.fold import EVERYWHERE, KNOWN_PROJECT
from kernel.cause import Cause
from kernel.errors import NotFound
from kernel.names import project_of
from kernel.resources import refuse_past
from kernel.rooms import Rooms
from kernel.transact import Decided
from modelog.deployment.v1 import environments_pb2 as rpc
from modelog.deployment.v1.types_pb2 import Endpoint, Environment
from services.deployment.admissions import Admissions
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT, approval, freeze
from services.deployment.domain.admission import findings, rules
from services.deployment.domain.version import Deployers
from services.deployment.rollouts import actors


class Approvals:
    """What people decide about rollouts before they start."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._admissions = Admissions(rooms)

    async def check(self, request: rpc.CheckRolloutRequest, cause: Cause) -> rpc.CheckRolloutResponse:
        """Every rule as it stands now. Nothing is reserved: what follows may be answered otherwise."""
        resources = self._rooms.resources
        refuse_past(request.read, "what a rollout would be answered")
        await resources.catch_up()
        place: Environment = await resources.load(ENVIRONMENT, request.name)
        if not place.name:
            raise NotFound("ENVIRONMENT_NOT_FOUND", f"there is no {request.name}")
        endpoint = await resources.load(ENDPOINT, request.endpoint) if request.endpoint else Endpoint()
        version = await resources.load(KNOWN_VERSION, request.version)
        projects = [await resources.load(KNOWN_PROJECT, one) for one in (project_of(request.name), EVERYWHERE)]
        async with self._admissions.around(request.name, version=request.version, endpoint=request.endpoint) as around:
            asked = rules(endpoint, place, version, Deployers(actors(cause), projects), around)
            found = findings(asked)
        return rpc.CheckRolloutResponse(
            allowed=all(one.passed for one in found),
            findings=found,
            approvals_needed=place.rollout_approvals.needed,
        )

    async def approve(self, name: str, cause: Cause) -> Decided:
        """One more approval of a rollout that waits."""
        ROLLOUT.pattern.ids(name)
        reads = ((KNOWN_PROJECT, project_of(name)), (KNOWN_PROJECT, EVERYWHERE))
        verb = partial(approval.approve, by=actors(cause), now=cause.now)
        return await self._rooms.transact(ROLLOUT, name, cause, verb, reads=reads)

    async def reject(self, name: str, cause: Cause) -> Decided:
        """The end of a rollout that waits."""
        ROLLOUT.pattern.ids(name)
        verb = partial(approval.reject, cause=f"rejected by {cause.actor.id}: {cause.reason}")
        return await self._rooms.transact(ROLLOUT, name, cause, verb)

    async def lift(self, request: rpc.LiftFreezeRequest, cause: Cause) -> Decided:
        """Breaks the glass."""
        ENVIRONMENT.pattern.ids(request.name)
        duration: timedelta = request.duration.ToTimedelta()
        verb = partial(
            freeze.lift,
            endpoint=request.endpoint,
            by=cause.actor.id,
            reason=request.reason,
            now=cause.now,
            duration=duration,
        )
        return await self._rooms.transact(ENVIRONMENT, request.name, cause, verb)
