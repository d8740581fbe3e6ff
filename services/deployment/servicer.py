"""The door: request, verb, reply."""

from collections.abc import Callable, Mapping
from functools import partial

from google.protobuf.message import Message

from kernel.cause import Cause
from kernel.errors import invalid_field
from kernel.names import child, project_of
from kernel.rooms import Rooms
from kernel.rpc import Context
from kernel.transact import Decided
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import environments_pb2 as environments
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import Endpoint, Environment
from services.deployment import queries
from services.deployment.admissions import Admissions
from services.deployment.approvals import Approvals
from services.deployment.domain import (
    ENDPOINT,
    ENVIRONMENT,
    KNOWN_VERSION,
    ROLLOUT,
    endpoint,
    environment,
    policy,
    rollout,
)
from services.deployment.domain.quota import Room
from services.deployment.drivers.kubernetes.options import Installation
from services.deployment.gitops import Manifests
from services.deployment.monitors import check_monitors
from services.deployment.people.door import PROJECT, Platforms, Watching
from services.deployment.platforms import Address
from services.deployment.rollouts import Rollouts


class DeploymentServicer(Watching):
    """drivers: names of those this installation has, and to what it narrows their settings. addresses: of endpoints.

    platforms: makes what there is to look at, for a call that asks what is observed.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        drivers: environment.Drivers,
        addresses: Mapping[str, Address],
        installation: Installation,
        platforms: Platforms,
    ) -> None:
        super().__init__(rooms, platforms)
        self._transact = rooms.transact
        self._resources = rooms.resources
        self._pool = rooms.pool
        self._rollouts = Rollouts(rooms)
        self._admissions = Admissions(rooms)
        self._approvals = Approvals(rooms)
        self._drivers = drivers
        self._addresses = addresses
        self._manifests = Manifests(rooms, installation)

    async def DefineEnvironment(
        self, request: rpc.DefineEnvironmentRequest, context: Context
    ) -> rpc.DefineEnvironmentResponse:
        PROJECT.ids(request.parent, "parent")
        terms = facts.EnvironmentChanged(
            description=request.description,
            driver_settings=request.driver_settings,
            admitted_phases=request.admitted_phases,
            approvals_needed=request.approvals_needed,
            protected=request.protected,
            freezes=request.freezes,
            quota=request.quota,
            promotion=request.promotion,
            rollout_approvals=request.rollout_approvals,
            secrets=request.secrets,
        )
        name = child(request.parent, "environments", request.environment_id)
        verb = partial(environment.define, driver=request.driver, terms=terms, drivers=self._drivers, name=name)
        decided = await self._define(name, terms.promotion.from_environment, context.cause(), verb)
        return rpc.DefineEnvironmentResponse(name=decided.name, revision=decided.revision)

    async def _define(self, name: str, before: str, cause: Cause, verb: Callable[..., Message | None]) -> Decided:
        """Two environments that are put before each other at once would make a circle, so these come one by one."""
        if not before:
            return await self._transact(ENVIRONMENT, name, cause, verb)
        ENVIRONMENT.pattern.ids(before, "promotion.from_environment")
        async with self._admissions.alone(name):
            ahead = await self._admissions.ahead(before)
            return await self._transact(ENVIRONMENT, name, cause, partial(verb, ahead=ahead))

    async def GetEnvironment(self, request: rpc.GetEnvironmentRequest, context: Context) -> bytes:
        return await self._resources.get(ENVIRONMENT, request.name, request.read)

    async def ListEnvironments(self, request: rpc.ListEnvironmentsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(ENVIRONMENT, f"{request.parent}/environments/", request)

    async def RemoveEnvironment(
        self, request: rpc.RemoveEnvironmentRequest, context: Context
    ) -> rpc.RemoveEnvironmentResponse:
        ENVIRONMENT.pattern.ids(request.name)
        await self._resources.catch_up()
        endpoints = await queries.endpoints_in(self._pool, request.name)
        verb = partial(environment.remove, endpoints=endpoints)
        decided = await self._transact(ENVIRONMENT, request.name, context.cause(), verb)
        return rpc.RemoveEnvironmentResponse(name=decided.name, revision=decided.revision)

    async def CreateEndpoint(self, request: rpc.CreateEndpointRequest, context: Context) -> rpc.CreateEndpointResponse:
        PROJECT.ids(request.parent, "parent")
        name = child(request.parent, "endpoints", request.endpoint_id)
        ENVIRONMENT.pattern.ids(request.environment, "environment")
        _check_project(request.environment, request.parent, "environment")
        ENDPOINT.pattern.ids(name, "endpoint_id")

        def create(state: Endpoint, place: Environment, *, others: Room) -> Message:
            address_of = self._addresses.get(place.driver)
            address = address_of(name, place.driver_settings) if address_of else ""
            return endpoint.create(
                state,
                place,
                description=request.description,
                address=address,
                replicas=request.replicas,
                policy=request.traffic_policy if request.HasField("traffic_policy") else None,
                others=others,
            )

        reads = ((ENVIRONMENT, request.environment),)
        async with self._admissions.around(request.environment) as around:
            verb = partial(create, others=around.others)
            decided = await self._transact(ENDPOINT, name, context.cause(), verb, reads=reads)
        made = decided.state
        if made is None:  # The answer of before: what it was about is in the view by its revision at the latest.
            await self._resources.wait(decided.revision)
            made = await self._resources.load(ENDPOINT, name)
        return rpc.CreateEndpointResponse(name=decided.name, revision=decided.revision, address=made.address)

    async def GetEndpoint(self, request: rpc.GetEndpointRequest, context: Context) -> bytes:
        return await self._resources.get(ENDPOINT, request.name, request.read)

    async def GetManifest(self, request: rpc.GetManifestRequest, context: Context) -> rpc.GetManifestResponse:
        ENDPOINT.pattern.ids(request.name)
        return rpc.GetManifestResponse(yaml=await self._manifests.of(request.name, request.read))

    async def ListEndpoints(self, request: rpc.ListEndpointsRequest, context: Context) -> bytes:
        PROJECT.ids(request.parent, "parent")
        return await self._resources.page(ENDPOINT, f"{request.parent}/endpoints/", request)

    async def RemoveEndpoint(self, request: rpc.RemoveEndpointRequest, context: Context) -> rpc.RemoveEndpointResponse:
        ENDPOINT.pattern.ids(request.name)
        decided = await self._rollouts.remove_endpoint(request.name, context.cause())
        return rpc.RemoveEndpointResponse(name=decided.name, revision=decided.revision)

    async def RequestRollout(self, request: rpc.RequestRolloutRequest, context: Context) -> rpc.RequestRolloutResponse:
        ENDPOINT.pattern.ids(request.parent, "parent")
        KNOWN_VERSION.pattern.ids(request.version, "version")
        _check_project(request.version, request.parent, "version")
        await check_monitors(self._resources, request.strategy, request.parent)
        cause = context.cause()
        decided = await self._rollouts.request(request.parent, request.version, request.strategy, cause)
        return rpc.RequestRolloutResponse(name=decided.name, revision=decided.revision)

    async def GetRollout(self, request: rpc.GetRolloutRequest, context: Context) -> bytes:
        return await self._resources.get(ROLLOUT, request.name, request.read)

    async def ListRollouts(self, request: rpc.ListRolloutsRequest, context: Context) -> bytes:
        _check_endpoint_or_all(request.parent)
        return await self._resources.page(ROLLOUT, f"{request.parent}/rollouts/", request)

    async def PauseRollout(self, request: rpc.PauseRolloutRequest, context: Context) -> rpc.PauseRolloutResponse:
        verb = partial(rollout.pause, cause=request.reason or "somebody asked for it")
        decided = await self._on_rollout(request.name, context.cause(), verb)
        return rpc.PauseRolloutResponse(name=decided.name, revision=decided.revision)

    async def ResumeRollout(self, request: rpc.ResumeRolloutRequest, context: Context) -> rpc.ResumeRolloutResponse:
        decided = await self._on_rollout(request.name, context.cause(), rollout.resume)
        return rpc.ResumeRolloutResponse(name=decided.name, revision=decided.revision)

    async def RollBack(self, request: rpc.RollBackRequest, context: Context) -> rpc.RollBackResponse:
        ENDPOINT.pattern.ids(request.parent, "parent")
        decided = await self._rollouts.roll_back(request.parent, context.cause())
        return rpc.RollBackResponse(name=decided.name, revision=decided.revision)

    async def UpdateEndpoint(self, request: rpc.UpdateEndpointRequest, context: Context) -> rpc.UpdateEndpointResponse:
        ENDPOINT.pattern.ids(request.name)
        fields = policy.masked(request.update_mask.paths)
        known = await self._resources.load(ENDPOINT, request.name)
        if not known.name:  # Made just now, perhaps; its environment never changes afterwards.
            await self._resources.catch_up()
            known = await self._resources.load(ENDPOINT, request.name)
        endpoint.present(known)
        verb = partial(endpoint.change_policy, given=request.traffic_policy, fields=fields)
        reads = ((ENVIRONMENT, known.environment),)
        decided = await self._transact(ENDPOINT, request.name, context.cause(), verb, reads=reads)
        return rpc.UpdateEndpointResponse(name=decided.name, revision=decided.revision)

    async def CheckRollout(
        self, request: environments.CheckRolloutRequest, context: Context
    ) -> environments.CheckRolloutResponse:
        ENVIRONMENT.pattern.ids(request.name)
        KNOWN_VERSION.pattern.ids(request.version, "version")
        _check_project(request.version, request.name, "version")
        if request.endpoint:
            ENDPOINT.pattern.ids(request.endpoint, "endpoint")
            _check_project(request.endpoint, request.name, "endpoint")
        return await self._approvals.check(request, context.cause())

    async def ApproveRollout(
        self, request: environments.ApproveRolloutRequest, context: Context
    ) -> environments.ApproveRolloutResponse:
        decided = await self._approvals.approve(request.name, context.cause())
        return environments.ApproveRolloutResponse(name=decided.name, revision=decided.revision)

    async def RejectRollout(
        self, request: environments.RejectRolloutRequest, context: Context
    ) -> environments.RejectRolloutResponse:
        decided = await self._approvals.reject(request.name, context.cause())
        return environments.RejectRolloutResponse(name=decided.name, revision=decided.revision)

    async def LiftFreeze(
        self, request: environments.LiftFreezeRequest, context: Context
    ) -> environments.LiftFreezeResponse:
        if request.endpoint:
            ENDPOINT.pattern.ids(request.endpoint, "endpoint")
            _check_project(request.endpoint, request.name, "endpoint")
        decided = await self._approvals.lift(request, context.cause())
        return environments.LiftFreezeResponse(name=decided.name, revision=decided.revision)

    async def _on_rollout(self, name: str, cause: Cause, verb: Callable[..., Message | None]) -> Decided:
        ROLLOUT.pattern.ids(name)
        return await self._transact(ROLLOUT, name, cause, verb)


def _check_project(name: str, inside: str, field: str) -> None:
    if project_of(name) != project_of(inside):
        raise invalid_field(field, f"{name} belongs to another project than {inside}", "OTHER_PROJECT")


def _check_endpoint_or_all(parent: str) -> None:
    """`projects/risk/endpoints/-` stands for every endpoint of the project."""
    if parent.endswith("/endpoints/-"):
        PROJECT.ids(parent.removesuffix("/endpoints/-"), "parent")
    else:
        ENDPOINT.pattern.ids(parent, "parent")
