"""The door over live gRPC, without a controller: what is answered, refused, repeated, raced for and remembered."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel.cause import Cause
from kernel.digest import views_digest
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import PHASE_STAGING
from modelog.type.v1.principal_pb2 import Principal
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.domain import ENDPOINT as ENDPOINT_KIND
from services.deployment.domain import KNOWN_VERSION, ROLLOUT, progress
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.build import canary, share
from tests.deployment.calls import eventually
from tests.deployment.town import BY, ENDPOINT, ENVIRONMENT, PROJECT, Town, foreign, town, version_name

_numbers = itertools.count(1)
QUIET = "rpc,projector,reactor"
RECREATE = types.Strategy(recreate=types.Recreate())


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema, roles=QUIET) as made:
        yield made


def reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


async def refused(call: Any, code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code, caught.value.details()
    return reason(caught.value)


async def decide(place: Town, kind: Any, name: str, verb: Any) -> int:
    """One fact as the controller would record it."""
    cause = Cause(Principal(id="services/deployment"), f"test-{next(_numbers)}", datetime.now(UTC))
    decided = await place.live.rooms.transact(kind, name, cause, verb)
    await place.live.rooms.resources.wait(decided.revision)
    return int(decided.revision)


async def serve(place: Town, *shares: types.TrafficShare, rollout: str = "") -> int:
    event = facts.TrafficShifted(traffic=shares, rollout=rollout, requested_by="users/dora", environment=ENVIRONMENT)
    return await decide(place, ENDPOINT_KIND, ENDPOINT, lambda _state: event)


async def test_environments_and_endpoints(place: Town) -> None:
    address = await place.found(approvals_needed=1)
    assert address.endswith("/risk/fraud-eu")
    seen = await place.stub.GetEnvironment(rpc.GetEnvironmentRequest(name=ENVIRONMENT))
    assert (seen.driver, seen.approvals_needed, seen.generation) == ("process", 1, 1)
    listed = await place.stub.ListEnvironments(rpc.ListEnvironmentsRequest(parent=PROJECT))
    assert [one.name for one in listed.environments] == [ENVIRONMENT]
    endpoints = await place.stub.ListEndpoints(rpc.ListEndpointsRequest(parent=PROJECT))
    assert [one.address for one in endpoints.endpoints] == [address]
    taken = rpc.RemoveEnvironmentRequest(name=ENVIRONMENT)
    assert await refused(place.stub.RemoveEnvironment(taken)) == "ENVIRONMENT_HAS_ENDPOINTS"
    again = rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="fraud-eu", environment=ENVIRONMENT)
    assert await refused(place.stub.CreateEndpoint(again), grpc.StatusCode.ALREADY_EXISTS) == "ENDPOINT_EXISTS"
    docker = rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="other", driver="docker")
    assert await refused(place.stub.DefineEnvironment(docker)) == "DRIVER_NOT_AVAILABLE"
    stale = rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="production", etag="7", protected=True)
    assert await refused(place.stub.DefineEnvironment(stale), grpc.StatusCode.ABORTED) == "ETAG_MISMATCH"


BAD: list[tuple[str, Any]] = [
    ("DefineEnvironment", rpc.DefineEnvironmentRequest(parent="risk", environment_id="x")),
    ("DefineEnvironment", rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="Not An Id")),
    ("DefineEnvironment", rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="x", approvals_needed=-1)),
    (
        "DefineEnvironment",
        rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="x", admitted_phases=["PHASE_UNSPECIFIED"]),
    ),
    ("CreateEndpoint", rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="e", environment="nowhere")),
    (
        "CreateEndpoint",
        rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="e", environment="projects/other/environments/p"),
    ),
    ("CreateEndpoint", rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="", environment=ENVIRONMENT)),
    ("RequestRollout", rpc.RequestRolloutRequest(parent=ENDPOINT, version=version_name(1))),
    ("RequestRollout", rpc.RequestRolloutRequest(parent=ENDPOINT, version="fraud@1", strategy=RECREATE)),
    (
        "RequestRollout",
        rpc.RequestRolloutRequest(parent=ENDPOINT, version="projects/x/models/m/versions/1", strategy=RECREATE),
    ),
    (
        "RequestRollout",
        rpc.RequestRolloutRequest(parent=ENDPOINT, version=version_name(1), strategy=canary(0)),
    ),
    (
        "RequestRollout",
        rpc.RequestRolloutRequest(
            parent=ENDPOINT, version=version_name(1), strategy=canary(5, max_error_rate=float("nan"))
        ),
    ),
    ("GetRollout", rpc.GetRolloutRequest(name=f"{ENDPOINT}/rollouts/0")),
    ("ListRollouts", rpc.ListRolloutsRequest(parent=PROJECT)),
    ("RollBack", rpc.RollBackRequest(parent=PROJECT)),
    ("ListServingIntervals", rpc.ListServingIntervalsRequest(parent=PROJECT, page_token="1")),
    ("ListServingIntervals", rpc.ListServingIntervalsRequest(parent=PROJECT, page_size=501)),
]


async def test_malformed_requests_name_the_field(place: Town) -> None:
    await place.found()
    for method, request in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(place.stub, method)(request, metadata=BY)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, (method, request, caught.value.details())
        status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
        details = [detail for detail in status.details if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR)]
        assert details, (method, request)


async def test_a_rollout_is_requested_once_however_often_it_is_sent(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    request = rpc.RequestRolloutRequest(
        parent=ENDPOINT, version=version_name(1), strategy=RECREATE, request_id="once", reason="first"
    )
    first = await place.stub.RequestRollout(request, metadata=BY)
    assert first == await place.stub.RequestRollout(request, metadata=BY)
    request.version = version_name(2)
    other = place.stub.RequestRollout(request, metadata=BY)
    assert await refused(other, grpc.StatusCode.ALREADY_EXISTS) == "REQUEST_ID_REUSED"
    place.newest = first.revision
    state = await place.rollout(first.name)
    assert (state.requested_by, list(state.approved_by)) == ("users/dora", ["users/rita"])
    dry = rpc.RequestRolloutRequest(parent=ENDPOINT, version=version_name(1), strategy=RECREATE, validate_only=True)
    assert await refused(place.stub.RequestRollout(dry, metadata=BY)) == "ROLLOUT_UNFINISHED"


async def test_of_many_requests_at_once_over_two_processes_one_rollout_begins(
    place: Town, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await place.found()
    for number in range(1, 5):
        await place.register(number, models.classifier(bias=float(number)))
    async with town(nats, postgres, tmp_path, schema, roles="rpc") as other:
        for expected in (1, 2):
            calls = [(place, other)[n % 2].request(1 + n % 4, recreate=types.Recreate()) for n in range(32)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            names = [answer for answer in answers if isinstance(answer, str)]
            assert names == [f"{ENDPOINT}/rollouts/{expected}"]
            refusals = {reason(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}
            assert refusals == {"ROLLOUT_UNFINISHED"}
            give_up = partial(
                progress.give_up, endpoint=types.Endpoint(), cause="enough", trigger=types.TRIGGER_REPLICAS
            )
            await decide(place, ROLLOUT, names[0], give_up)


async def test_pausing_going_back_and_undoing(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    await place.register(2, models.classifier(bias=1.0))
    back = rpc.RollBackRequest(parent=ENDPOINT, reason="it is slow")
    assert await refused(place.stub.RollBack(back, metadata=BY)) == "NOTHING_TO_ROLL_BACK"
    first = await place.request(1)
    pause = rpc.PauseRolloutRequest(name=first)
    assert await refused(place.stub.PauseRollout(pause)) == "ROLLOUT_NOT_PROGRESSING"
    await decide(place, ROLLOUT, first, progress.start)
    await place.stub.PauseRollout(rpc.PauseRolloutRequest(name=first, reason="lunch"))
    reply = await place.stub.ResumeRollout(rpc.ResumeRolloutRequest(name=first))
    place.newest = reply.revision
    assert (await place.rollout(first)).state == types.ROLLOUT_STATE_PROGRESSING
    await finish(place, first)
    await serve(place, share(1), rollout=first)
    second = await place.request(2)
    answer = await place.stub.RollBack(back, metadata=BY)
    assert answer.name == second
    place.newest = answer.revision
    state = await place.rollout(second)
    assert (state.state, state.cause) == (types.ROLLOUT_STATE_ROLLING_BACK, "it is slow")
    assert (await place.stub.RollBack(back, metadata=BY)).revision == answer.revision
    await decide(place, ROLLOUT, second, progress.finish_rollback)
    third = await place.request(2)
    await finish(place, third)
    await serve(place, share(2), rollout=third)
    undone = await place.stub.RollBack(back, metadata=BY)
    place.newest = undone.revision
    fourth = await place.rollout(undone.name)
    assert (fourth.version, fourth.restores) == (version_name(1), third)
    assert (await place.stub.RollBack(back, metadata=BY)).name == undone.name
    listed = await place.stub.ListRollouts(rpc.ListRolloutsRequest(parent=f"{PROJECT}/endpoints/-"))
    assert [one.name for one in listed.rollouts] == [first, second, third, undone.name]


async def finish(place: Town, name: str) -> None:
    """As if its steps had passed."""
    if (await place.rollout(name)).state == types.ROLLOUT_STATE_PENDING:
        await decide(place, ROLLOUT, name, progress.start)
    await decide(place, ROLLOUT, name, lambda _state: facts.RolloutPromoted())
    await decide(place, ROLLOUT, name, progress.succeed)


async def test_what_ran_where_is_exact_to_the_fact_that_moved_traffic(place: Town) -> None:
    await place.found()
    one = await serve(place, share(1))
    ten = await serve(place, share(2, 10), share(1, 90))
    same = await serve(place, share(2, 10, ready=2), share(1, 90))
    two = await serve(place, share(2))
    listed = await intervals(place)
    assert [(row.version[-1], row.percent, row.from_revision, row.to_revision) for row in listed] == [
        ("1", 100, one, ten),
        ("1", 90, ten, two),
        ("2", 10, ten, two),
        ("2", 100, two, 0),
    ]
    assert same > ten
    first, last = listed[0], listed[-1]
    assert (first.requested_by, list(first.approved_by), first.environment) == (
        "users/dora",
        ["users/rita"],
        ENVIRONMENT,
    )
    assert first.to_time == listed[1].from_time
    assert not last.HasField("to_time")
    assert [row.percent for row in await intervals(place, version=version_name(2))] == [10, 100]
    assert await intervals(place, endpoint=f"{PROJECT}/endpoints/other") == []
    between = await intervals(place, from_time=first.to_time, to_time=last.from_time)
    assert [row.percent for row in between] == [90, 10]
    then = await intervals(place, read=ReadOptions(as_of_revision=ten))
    assert [(row.percent, row.to_revision) for row in then] == [(100, ten), (90, 0), (10, 0)]
    at_time = await intervals(place, read=ReadOptions(as_of_time=first.from_time))
    assert [(row.percent, row.to_revision) for row in at_time] == [(100, 0)]


async def intervals(place: Town, **filters: Any) -> list[types.ServingInterval]:
    """All pages, two rows each."""
    rows: list[types.ServingInterval] = []
    token = ""
    while True:
        request = rpc.ListServingIntervalsRequest(parent=PROJECT, page_size=2, page_token=token, **filters)
        reply = await place.stub.ListServingIntervals(request)
        rows.extend(reply.serving_intervals)
        token = reply.next_page_token
        if not token:
            return rows


async def test_an_endpoint_is_flagged_when_its_version_leaves_the_admitted_phases(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    await serve(place, share(1))
    await place.stage(1, PHASE_STAGING, "")

    async def flagged() -> bool:
        return [one.version for one in (await place.endpoint()).flags] == [version_name(1)]

    await eventually(flagged)
    await place.others.record(KNOWN_VERSION, version_name(1), registry.VersionRetired(to_stage="retired"))
    assert await refused(place.request(1)) in ("VERSION_RETIRED", "PHASE_NOT_ADMITTED")


@pytest.mark.parametrize("held", [False, True])
async def test_an_alert_sends_a_watched_rollout_back(place: Town, held: bool) -> None:
    await place.found()
    await place.register(1, models.classifier())
    name = await place.request(1, canary=canary(10, max_error_rate=0.1, rollback_on_alert=True).canary)
    await decide(place, ROLLOUT, name, progress.start)
    alerts = foreign("monitoring", "projects/*/monitors/*/alerts/#")
    alert = f"{PROJECT}/monitors/fraud/alerts/1"
    raised = monitoring.AlertRaised(endpoint=ENDPOINT, version=version_name(1), check="drift", held=held)
    await place.others.record(alerts, alert, raised)
    if held:  # Somebody wants nothing to follow, until it fails again.
        again = later.AlertReopened(endpoint=ENDPOINT, version=version_name(1), check="drift")
        alert = f"{PROJECT}/monitors/fraud/alerts/2"
        await place.others.record(alerts, alert, again)

    async def going_back() -> bool:
        state = await place.rollout(name)
        return state.state == types.ROLLOUT_STATE_ROLLING_BACK and alert in state.cause

    await eventually(going_back)
    assert (await place.rollout(name)).rollback_requested_by == "services/deployment"


async def test_removing_an_endpoint_and_its_environment(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    name = await place.request(1)
    gone = rpc.RemoveEndpointRequest(name=ENDPOINT)
    assert await refused(place.stub.RemoveEndpoint(gone)) == "ROLLOUT_UNFINISHED"
    give_up = partial(progress.give_up, endpoint=types.Endpoint(), cause="enough", trigger=types.TRIGGER_REPLICAS)
    await decide(place, ROLLOUT, name, give_up)
    await serve(place, share(1))
    reply = await place.stub.RemoveEndpoint(gone)
    assert (await place.stub.RemoveEndpoint(gone)).revision == reply.revision
    assert await refused(place.request(1)) == "ENDPOINT_REMOVED"
    removed = facts.EndpointRemoved(versions=[version_name(1)])
    revision = await decide(place, ENDPOINT_KIND, ENDPOINT, lambda _state: removed)
    assert [row.to_revision for row in await intervals(place)] == [revision]
    await place.stub.RemoveEnvironment(rpc.RemoveEnvironmentRequest(name=ENVIRONMENT))
    unknown = rpc.RemoveEndpointRequest(name=f"{PROJECT}/endpoints/other")
    assert await refused(place.stub.RemoveEndpoint(unknown), grpc.StatusCode.NOT_FOUND) == "ENDPOINT_NOT_FOUND"


async def test_a_rebuilt_schema_equals_the_live_one(
    place: Town, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await place.found()
    for number in range(1, 6):
        await place.register(number, models.classifier(bias=float(number)))
        name = await place.request(number)
        await serve(
            place, share(number, 30), *([share(number - 1, 70)] if number > 1 else [share(9, 70)]), rollout=name
        )
        await finish(place, name)
        await serve(place, share(number), rollout=name)
    head = await place.live.rooms.resources.catch_up()
    async with town(nats, postgres, tmp_path, f"{schema}_again", roles="projector") as again:
        await again.live.rooms.resources.wait(head)
        live = await views_digest(place.live.rooms.pool, schema)
        assert {"rollout", "rollout_history", "serving", "serving_interval", "endpoint_work"} <= set(live)
        assert await views_digest(again.live.rooms.pool, f"{schema}_again") == live
