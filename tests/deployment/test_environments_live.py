"""What environments ask, over live gRPC: races for the last room, the order of environments, freezes, approvals."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import environments_pb2 as terms
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.domain import ENDPOINT as KIND
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.build import canary, share
from tests.deployment.calls import eventually
from tests.deployment.test_servicer import QUIET, decide, finish, reason, refused, serve
from tests.deployment.town import BY, ENDPOINT, ENVIRONMENT, PROJECT, Town, town, version_name

STAGING = f"{PROJECT}/environments/staging"
RITA, OMAR = (("x-modelog-actor", "users/rita"),), (("x-modelog-actor", "users/omar"),)


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema, roles=QUIET) as made:
        yield made


def frozen_now() -> terms.Freeze:
    """From an hour ago to an hour from now."""
    now = datetime.now(UTC)
    freeze = terms.Freeze(id="audit", reason="the auditors are here")
    freeze.once.from_time.FromDatetime(now - timedelta(hours=1))
    freeze.once.to_time.FromDatetime(now + timedelta(hours=1))
    return freeze


async def define(place: Town, id_: str = "production", **given: Any) -> int:
    request = rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id=id_, **given)
    return int((await place.stub.DefineEnvironment(request, metadata=BY)).revision)


async def check(place: Town, number: int, environment: str = ENVIRONMENT, **more: Any) -> terms.CheckRolloutResponse:
    request = terms.CheckRolloutRequest(name=environment, version=version_name(number), **more)
    reply: terms.CheckRolloutResponse = await place.stub.CheckRollout(request, metadata=BY)
    return reply


def failed(reply: terms.CheckRolloutResponse) -> list[str]:
    return [one.reason for one in reply.findings if not one.passed]


async def test_of_many_who_want_the_last_room_over_two_processes_one_gets_it(
    place: Town, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with town(nats, postgres, tmp_path, schema, roles="rpc") as other:
        for round_, limit in enumerate((1, 3), 1):
            await define(place, quota=terms.Quota(most_endpoints=limit))
            calls = [
                (place, other)[n % 2].stub.CreateEndpoint(
                    rpc.CreateEndpointRequest(
                        parent=PROJECT,
                        endpoint_id=f"e-{round_}-{n}",
                        environment=ENVIRONMENT,
                        request_id=f"{round_}{n}",
                    ),
                    metadata=BY,
                )
                for n in range(12)
            ]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            made = [one for one in answers if isinstance(one, rpc.CreateEndpointResponse)]
            assert len(made) == (1, 2)[round_ - 1]
            assert {reason(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)} == {"QUOTA_EXCEEDED"}
            await place.live.rooms.resources.wait(max(one.revision for one in made))
        listed = await place.stub.ListEndpoints(rpc.ListEndpointsRequest(parent=PROJECT))
        assert len(listed.endpoints) == 3


async def test_of_two_rollouts_that_want_the_last_replica_one_gets_it(place: Town) -> None:
    await define(place, quota=terms.Quota(most_replicas=5))
    for id_ in ("e1", "e2"):
        request = rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id=id_, environment=ENVIRONMENT, replicas=2)
        await place.stub.CreateEndpoint(request, metadata=BY)
    await place.register(1, models.classifier())
    await place.register(2, models.classifier(bias=1.0))
    for id_ in ("e1", "e2"):
        served = facts.TrafficShifted(traffic=[share(1)], environment=ENVIRONMENT)
        name = f"{PROJECT}/endpoints/{id_}"
        await decide(place, KIND, name, lambda _state, event=served: event)
    await define(place, quota=terms.Quota(most_replicas=6))
    calls = [
        place.stub.RequestRollout(
            rpc.RequestRolloutRequest(
                parent=f"{PROJECT}/endpoints/{id_}", version=version_name(2), strategy=canary(10)
            ),
            metadata=BY,
        )
        for id_ in ("e1", "e2")
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(reason(one) if isinstance(one, grpc.aio.AioRpcError) else "" for one in answers) == [
        "",
        "QUOTA_EXCEEDED",
    ]


async def test_a_version_goes_from_environment_to_environment(place: Town) -> None:
    await define(place, "staging", admitted_phases=[PHASE_PRODUCTION])
    await place.found(promotion=terms.Promotion(from_environment=STAGING))
    staged = rpc.CreateEndpointRequest(parent=PROJECT, endpoint_id="staged", environment=STAGING)
    await place.stub.CreateEndpoint(staged, metadata=BY)
    for number in (1, 2):
        await place.register(number, models.classifier(bias=float(number)))
    assert await refused(place.request(1)) == "NOT_PROVED_BEFORE"
    assert failed(await check(place, 1)) == ["NOT_PROVED_BEFORE"]
    assert (await check(place, 1, STAGING)).allowed

    async def roll(number: int, state: types.Strategy) -> str:
        request = rpc.RequestRolloutRequest(
            parent=f"{PROJECT}/endpoints/staged", version=version_name(number), strategy=state
        )
        reply = await place.stub.RequestRollout(request, metadata=BY)
        place.newest = reply.revision
        await finish(place, reply.name)
        return str(reply.name)

    async def serving(number: int, rollout: str) -> None:
        event = facts.TrafficShifted(traffic=[share(number)], rollout=rollout, environment=STAGING)
        await decide(place, KIND, f"{PROJECT}/endpoints/staged", lambda _state: event)

    await serving(1, await roll(1, types.Strategy(recreate=types.Recreate())))
    assert (await check(place, 1)).allowed
    name = await roll(2, types.Strategy(recreate=types.Recreate()))
    await serving(2, name)
    assert (await check(place, 2)).allowed
    await define(place, promotion=terms.Promotion(from_environment=STAGING, served_for=Duration(seconds=3600)))
    assert failed(await check(place, 2)) == ["NOT_PROVED_BEFORE"]
    await define(place, promotion=terms.Promotion(from_environment=STAGING))
    back = await place.stub.RollBack(rpc.RollBackRequest(parent=f"{PROJECT}/endpoints/staged"), metadata=BY)
    await place.live.rooms.resources.wait(back.revision)
    assert failed(await check(place, 2)) == ["NOT_PROVED_BEFORE"], "what was undone has proved nothing"
    assert (await check(place, 1)).allowed
    circle = rpc.DefineEnvironmentRequest(
        parent=PROJECT, environment_id="staging", promotion=terms.Promotion(from_environment=ENVIRONMENT)
    )
    assert await refused(place.stub.DefineEnvironment(circle, metadata=BY)) == "PROMOTION_CYCLE"


async def test_of_two_environments_put_before_each_other_at_once_one_gets_it(place: Town) -> None:
    for id_ in ("a", "b"):
        await define(place, id_)
    calls = [
        define(place, id_, promotion=terms.Promotion(from_environment=f"{PROJECT}/environments/{other}"))
        for id_, other in (("a", "b"), ("b", "a"))
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(reason(one) if isinstance(one, grpc.aio.AioRpcError) else "" for one in answers) == [
        "",
        "PROMOTION_CYCLE",
    ]


async def test_a_freeze_holds_until_somebody_breaks_the_glass(place: Town) -> None:
    await place.found(freezes=[frozen_now()])
    await place.register(1, models.classifier())
    assert await refused(place.request(1)) == "ENVIRONMENT_FROZEN"
    reply = await check(place, 1, endpoint=ENDPOINT)
    assert failed(reply) == ["ENVIRONMENT_FROZEN"]
    assert "the auditors are here" in next(one.explanation for one in reply.findings if not one.passed)
    lift = terms.LiftFreezeRequest(name=ENVIRONMENT, endpoint=f"{PROJECT}/endpoints/other", reason="an outage")
    await place.stub.LiftFreeze(lift, metadata=RITA)
    assert await refused(place.request(1)) == "ENVIRONMENT_FROZEN"
    lift.endpoint = ENDPOINT
    await place.stub.LiftFreeze(lift, metadata=RITA)
    state = await place.rollout(await place.request(1))
    assert (state.freeze_lift.lifted_by, state.freeze_lift.reason) == ("users/rita", "an outage")
    lift.endpoint = "projects/other/endpoints/x"
    assert await refused(place.stub.LiftFreeze(lift), grpc.StatusCode.INVALID_ARGUMENT) == "INVALID_REQUEST"
    lift.endpoint, lift.reason = "", ""
    await refused(place.stub.LiftFreeze(lift), grpc.StatusCode.INVALID_ARGUMENT)


async def test_approvals_are_asked_of_those_who_did_not_ask(place: Town) -> None:
    await place.found(rollout_approvals=terms.RolloutApprovals(needed=1))
    await place.register(1, models.classifier())
    assert (await check(place, 1)).approvals_needed == 1
    name = await place.request(1)
    yes = terms.ApproveRolloutRequest(name=name, reason="seen")
    assert await refused(place.stub.ApproveRollout(yes, metadata=BY)) == "APPROVER_ASKED_FOR_IT"
    reply = await place.stub.ApproveRollout(yes, metadata=RITA)
    assert (await place.stub.ApproveRollout(yes, metadata=RITA)).revision == reply.revision
    place.newest = reply.revision
    (approval,) = (await place.rollout(name)).approvals
    assert (approval.approved_by, approval.comment, list(approval.people)) == ("users/rita", "seen", ["users/rita"])
    reply = await place.stub.RejectRollout(terms.RejectRolloutRequest(name=name, reason="not today"), metadata=OMAR)
    place.newest = reply.revision
    state = await place.rollout(name)
    assert (state.state, state.cause) == (types.ROLLOUT_STATE_FAILED, "rejected by users/omar: not today")
    assert await refused(place.stub.ApproveRollout(yes, metadata=OMAR)) == "ROLLOUT_NOT_WAITING"
    nothing = terms.RejectRolloutRequest(name=name)
    await refused(place.stub.RejectRollout(nothing, metadata=OMAR), grpc.StatusCode.INVALID_ARGUMENT)
    unknown = terms.CheckRolloutRequest(name=f"{PROJECT}/environments/none", version=version_name(1))
    assert await refused(place.stub.CheckRollout(unknown), grpc.StatusCode.NOT_FOUND) == "ENVIRONMENT_NOT_FOUND"


async def test_what_serves_is_flagged_by_new_terms_and_unflagged_by_newer_ones(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    await serve(place, share(1))
    for needed, expected in ((2, [version_name(1)]), (0, [])):
        await define(place, approvals_needed=needed)

        async def flagged(wanted: list[str] = expected) -> bool:
            return [one.version for one in (await place.endpoint()).flags] == wanted

        await eventually(flagged)


async def test_a_rollout_waits_for_its_approval_and_for_the_end_of_a_freeze_and_then_serves(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """With a controller, a gateway and a replica that has a secret; what is in it stands nowhere."""
    secret = "the-value-that-nobody-may-find"
    (tmp_path / "secrets" / "risk").mkdir(parents=True)
    (tmp_path / "secrets" / "risk" / "store").write_text(secret)
    async with town(nats, postgres, tmp_path, schema, secrets_dir=str(tmp_path / "secrets")) as place:
        given: dict[str, Any] = {
            "rollout_approvals": terms.RolloutApprovals(needed=1),
            "secrets": {"STORE_KEY": terms.SecretRef(file="store")},
        }
        address = await place.found(**given)
        await place.register(1, models.classifier())
        name = await place.request(1)
        await define(place, freezes=[frozen_now()], **given)
        await asyncio.sleep(0.5)
        state = await place.rollout(name)
        assert (state.state, state.cause) == (types.ROLLOUT_STATE_PENDING, "waits for 1 more approval")
        await place.stub.ApproveRollout(terms.ApproveRolloutRequest(name=name), metadata=RITA)

        async def held() -> bool:
            return "is frozen by audit" in (await place.rollout(name)).cause

        await eventually(held)
        assert (await place.rollout(name)).state == types.ROLLOUT_STATE_PENDING
        lift = terms.LiftFreezeRequest(name=ENVIRONMENT, reason="an outage")
        await place.stub.LiftFreeze(lift, metadata=OMAR)
        await place.reaches(name, types.ROLLOUT_STATE_SUCCEEDED)
        assert await place.answers(address, 200)
        stored = await place.stub.GetEnvironment(rpc.GetEnvironmentRequest(name=ENVIRONMENT, read=ReadOptions()))
        assert stored.secrets["STORE_KEY"].file == "store"
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "secrets" not in path.parts]
    with_it = [path for path in (*files, *_of(nats)) if path.is_file() and secret.encode() in path.read_bytes()]
    assert with_it == []


def _of(nats: NatsServer) -> list[Path]:
    """What the server keeps: the log itself, message by message as it was written."""
    kept = [path for path in nats.folder.rglob("*") if path.is_file()]
    assert any(b"EnvironmentDefined" in path.read_bytes() for path in kept), "the log is looked through"
    return kept
