"""The methods by which people watch: statuses, rollouts, logs, repairs. Any process of the service answers them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from kernel.errors import Exhausted, NotFound, Unavailable
from kernel.names import Pattern
from kernel.resources import refuse_past
from kernel.rooms import Rooms
from kernel.rpc import Context
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import people_pb2 as people
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_REMOVED, Endpoint, Rollout
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT
from services.deployment.domain.states import is_unfinished
from services.deployment.drivers.port import Key, PlatformAway
from services.deployment.people import queries
from services.deployment.people.observing import Look, look
from services.deployment.people.printed import end_of, new_in
from services.deployment.platforms import Platform
from services.deployment.queries import newest_rollout

PROJECT = Pattern("projects/*")
_MOST_WATCHERS = 64
_INTERVAL_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5.0
_QUIET_SECONDS = 0.1
_TAIL_BYTES = 16 * 1024

Platforms = Callable[[], Mapping[str, Platform]]


class Watching:
    """platforms: makes the platforms of this installation, for one call to look at; it changes nothing there."""

    def __init__(self, rooms: Rooms, platforms: Platforms) -> None:
        self._rooms = rooms
        self._platforms = platforms
        self._watchers = 0

    async def ListServingIntervals(
        self, request: rpc.ListServingIntervalsRequest, context: Context
    ) -> rpc.ListServingIntervalsResponse:
        PROJECT.ids(request.parent, "parent")
        await self._rooms.resources.settle(request.read)
        return await queries.serving_intervals(self._rooms.pool, request)

    async def ListRepairs(self, request: people.ListRepairsRequest, context: Context) -> people.ListRepairsResponse:
        if request.parent.endswith("/endpoints/-"):
            PROJECT.ids(request.parent.removesuffix("/endpoints/-"), "parent")
        else:
            ENDPOINT.pattern.ids(request.parent, "parent")
        await self._rooms.resources.settle(request.read)
        return await queries.repairs(self._rooms.pool, request)

    async def GetEndpointStatus(
        self, request: people.GetEndpointStatusRequest, context: Context
    ) -> people.EndpointStatus:
        endpoint = await self._endpoint(request.name)
        async with self._opened(endpoint) as platform:
            return (await self._status(endpoint, platform, None))[0]

    async def WatchEndpoint(
        self, request: people.WatchEndpointRequest, context: Context
    ) -> AsyncIterator[people.WatchEndpointResponse]:
        endpoint = await self._endpoint(request.name)
        before: Look | None = None
        with self._place():
            async with self._opened(endpoint) as platform:
                while endpoint.state != ENDPOINT_STATE_REMOVED:
                    status, before = await self._status(endpoint, platform, before)
                    yield people.WatchEndpointResponse(status=status)
                    await asyncio.sleep(_seconds(request, _INTERVAL_SECONDS))
                    endpoint = await self._rooms.resources.load(ENDPOINT, request.name)

    async def WatchRollout(
        self, request: people.WatchRolloutRequest, context: Context
    ) -> AsyncIterator[people.WatchRolloutResponse]:
        ROLLOUT.pattern.ids(request.name)
        refuse_past(request.read, "what happens from now on")
        await self._rooms.resources.wait(max(request.read.at_least, request.after_revision))
        rollout = await self._rooms.resources.load(ROLLOUT, request.name)
        if not rollout.name:
            raise NotFound("ROLLOUT_NOT_FOUND", f"there is no {request.name}", metadata={"resource": request.name})
        endpoint = await self._endpoint(request.name.rpartition("/rollouts/")[0])
        with self._place():
            async with self._opened(endpoint, wanted=request.HasField("interval")) as platform:
                async for reply in self._changes(request, rollout, platform):
                    yield reply

    async def _changes(
        self, request: people.WatchRolloutRequest, rollout: Rollout, platform: Platform | None
    ) -> AsyncIterator[people.WatchRolloutResponse]:
        """The states behind `after_revision`, or the one now; then each that follows, and a look now and then."""
        resources, position = self._rooms.resources, self._rooms.position
        states = [rollout] if not request.after_revision else []
        sent, told_at, before = request.after_revision, -_HEARTBEAT_SECONDS, None
        pause = _seconds(request, _HEARTBEAT_SECONDS)
        while True:
            seen = position.revision
            states = states or await queries.rollout_states(self._rooms.pool, request.name, sent)
            endpoint = await resources.load(ENDPOINT, request.name.rpartition("/rollouts/")[0])
            due = _clock() - told_at >= pause
            if due or states:
                reply = people.WatchRolloutResponse(traffic=endpoint.traffic)
                if platform is not None and due:
                    status, before = await self._status(endpoint, platform, before)
                    reply.status.CopyFrom(status)
                    told_at = _clock()
                elif platform is None:
                    told_at = _clock()
                if states:
                    rollout = states.pop(0)
                    sent = rollout.revision
                    reply.rollout.CopyFrom(rollout)
                yield reply
                if not states and not is_unfinished(rollout.state) and not await self._more(request.name, sent):
                    return
                if states:
                    continue
            await asyncio.sleep(_QUIET_SECONDS)  # Facts of others may come by the thousand.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(told_at + pause - _clock(), 0.0)):
                    await position.wait(seen + 1)

    async def _more(self, name: str, after: int) -> bool:
        return bool(await queries.rollout_states(self._rooms.pool, name, after, 1))

    async def ReadReplicaLogs(
        self, request: people.ReadReplicaLogsRequest, context: Context
    ) -> AsyncIterator[people.ReadReplicaLogsResponse]:
        endpoint = await self._endpoint(request.name)
        if request.version:
            KNOWN_VERSION.pattern.ids(request.version, "version")
        before: Mapping[str, str] = {}
        with self._place():
            async with self._opened(endpoint) as platform:
                while True:
                    now = await _logs(endpoint, platform, request.version)
                    for replica, text in now.items():
                        if replica in before:
                            new, gap = new_in(text, before[replica])
                        else:
                            new, gap = end_of(text, request.tail_bytes or _TAIL_BYTES), False
                        if new:
                            yield people.ReadReplicaLogsResponse(replica=replica, text=new, gap=gap)
                    if not request.follow:
                        return
                    before = now
                    await asyncio.sleep(_INTERVAL_SECONDS)

    async def _endpoint(self, name: str) -> Endpoint:
        ENDPOINT.pattern.ids(name)
        endpoint: Endpoint = await self._rooms.resources.load(ENDPOINT, name)
        if not endpoint.name:  # Created a moment ago, perhaps.
            await self._rooms.resources.catch_up()
            endpoint = await self._rooms.resources.load(ENDPOINT, name)
        if not endpoint.name:
            raise NotFound("ENDPOINT_NOT_FOUND", f"there is no {name}", metadata={"resource": name})
        return endpoint

    async def _status(
        self, endpoint: Endpoint, platform: Platform, before: Look | None
    ) -> tuple[people.EndpointStatus, Look]:
        status, after = await look(endpoint, platform, before, self._rooms.clock())
        number = await newest_rollout(self._rooms.pool, endpoint.name)
        if number:
            newest = await self._rooms.resources.load(ROLLOUT, f"{endpoint.name}/rollouts/{number}")
            status.rollout = newest.name if is_unfinished(newest.state) else ""
        return status, after

    @asynccontextmanager
    async def _opened(self, endpoint: Endpoint, *, wanted: bool = True) -> AsyncIterator[Any]:
        """The platform that the endpoint's environment names, for the length of a call; None where it is not wanted."""
        if not wanted:
            yield None
            return
        environment = await self._rooms.resources.load(ENVIRONMENT, endpoint.environment)
        platform = self._platforms().get(environment.driver)
        if platform is None:
            raise Unavailable("PLATFORM_AWAY", f"this installation has no driver {environment.driver!r}; ask another")
        try:
            yield platform
        finally:
            await platform.driver.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._watchers >= _MOST_WATCHERS:
            raise Exhausted("TOO_MANY_WATCHERS", "all places for watchers are taken; try again later", retry_seconds=5)
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1


async def _logs(endpoint: Endpoint, platform: Platform, version: str) -> Mapping[str, str]:
    """The end of each replica's log, by its id."""
    found: dict[str, str] = {}
    try:
        for one in [version] if version else await _versions(endpoint, platform):
            found.update(await platform.driver.logs(Key(endpoint.name, one)))
    except PlatformAway as away:
        raise Unavailable("PLATFORM_AWAY", f"the platform does not answer now, try again: {away}") from away
    return found


async def _versions(endpoint: Endpoint, platform: Platform) -> Sequence[str]:
    return sorted({one.key.version for one in await platform.driver.observe() if one.key.endpoint == endpoint.name})


def _seconds(request: Any, otherwise: float) -> float:
    return float(request.interval.ToTimedelta().total_seconds()) if request.HasField("interval") else otherwise


def _clock() -> float:
    return asyncio.get_running_loop().time()
