"""Writes that depend on an endpoint's newest rollout."""

from collections.abc import Callable
from functools import partial

from google.protobuf.message import Message

from access.fold import EVERYWHERE, KNOWN_PROJECT
from kernel.cause import Cause
from kernel.errors import Conflict, NotAllowedNow
from kernel.fold import Kind
from kernel.names import child, project_of
from kernel.rooms import Rooms
from kernel.transact import Decided
from modelog.deployment.v1.types_pb2 import Endpoint, Rollout, Strategy
from services.deployment import queries
from services.deployment.admissions import Admissions
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT, endpoint, rollout
from services.deployment.domain.states import SUCCEEDED

_ATTEMPTS = 16

Reads = tuple[tuple[Kind, str], ...]


def actors(cause: Cause) -> list[str]:
    """Who acts, then for whom."""
    return [cause.actor.id, *(one.id for one in cause.on_behalf_of)]


class Rollouts:
    """What the door and the reactions do with rollouts."""

    def __init__(self, rooms: Rooms) -> None:
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._pool = rooms.pool
        self._admissions = Admissions(rooms)

    async def request(self, parent: str, version: str, strategy: Strategy, cause: Cause) -> Decided:
        """A new rollout of `version` on the endpoint `parent`."""
        await self._resources.catch_up()
        environment = _environment(parent, await self._resources.load(ENDPOINT, parent))
        async with self._admissions.around(environment, version=version, endpoint=parent) as around:
            verb = partial(rollout.request, strategy=strategy, by=actors(cause), around=around)
            return await self._create(parent, version, cause, verb)

    async def roll_back(self, parent: str, cause: Cause) -> Decided:
        """Sends the newest rollout back, or undoes it by a new one when it has succeeded."""
        for _ in range(_ATTEMPTS):
            newest = await self.newest(parent)
            if not newest.name:
                endpoint.present(await self._resources.load(ENDPOINT, parent))
                raise NotAllowedNow("NOTHING_TO_ROLL_BACK", f"{parent} has had no rollout")
            try:
                if newest.state != SUCCEEDED:
                    verb = partial(rollout.roll_back, cause=cause.reason)
                    return await self._transact(ROLLOUT, newest.name, cause, verb)
                rollout.check_undoable(newest)
                undo = partial(rollout.undo, by=actors(cause))
                return await self._create(parent, newest.previous_version, cause, undo)
            except NotAllowedNow as refusal:
                if refusal.reason != "ROLLOUT_SUCCEEDED":  # It has finished just now: the other way then.
                    raise
        raise Conflict("RESOURCE_CONTENDED", f"rollouts of {parent} come too fast; try again")

    async def remove_endpoint(self, name: str, cause: Cause) -> Decided:
        newest = await self.newest(name)
        reads: Reads = ((ROLLOUT, newest.name),) if newest.name else ()
        verb = endpoint.start_removal if newest.name else partial(endpoint.start_removal, newest=newest)
        return await self._transact(ENDPOINT, name, cause, verb, reads=reads)

    async def newest(self, parent: str) -> Rollout:
        """The endpoint's newest rollout, as of now; empty when it has none."""
        await self._resources.catch_up()
        number = await queries.newest_rollout(self._pool, parent)
        if not number:
            return Rollout()
        loaded: Rollout = await self._resources.load(ROLLOUT, child(parent, "rollouts", number))
        return loaded

    async def _create(self, parent: str, version: str, cause: Cause, verb: Callable[..., Message | None]) -> Decided:
        """Appends the first fact of the next number, having read the rollout just below it.

        The append is guarded by the number being free, and the verb wants the one below to be finished, which it then
        stays. So of any number of requests at once one gets through, whichever process they reach.
        """
        ENDPOINT.pattern.ids(parent, "parent")
        state = await self._resources.load(ENDPOINT, parent)
        if not state.environment:  # Created a moment ago, perhaps.
            await self._resources.catch_up()
            state = await self._resources.load(ENDPOINT, parent)
        environment = _environment(parent, state)
        number = await queries.newest_rollout(self._pool, parent)
        for _ in range(_ATTEMPTS):
            reads: Reads = (
                (ENDPOINT, parent),
                (ENVIRONMENT, environment),
                (KNOWN_VERSION, version),
                (KNOWN_PROJECT, project_of(parent)),
                (KNOWN_PROJECT, EVERYWHERE),
            )
            decide = verb
            if number:
                reads = (*reads, (ROLLOUT, child(parent, "rollouts", number)))
            else:
                decide = partial(verb, before=Rollout())
            try:
                return await self._transact(ROLLOUT, child(parent, "rollouts", number + 1), cause, decide, reads=reads)
            except rollout.NumberTaken:
                number += 1
        raise Conflict("RESOURCE_CONTENDED", f"rollouts of {parent} come too fast; try again")


def _environment(parent: str, state: Endpoint) -> str:
    """Where an endpoint lives; for one that does not exist the name of an environment that does not either."""
    return state.environment or child(parent.rpartition("/endpoints/")[0], "environments", "none")
