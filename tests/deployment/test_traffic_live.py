"""A policy from the call to Envoy, and what somebody does to the routes from there to the fact: the whole service."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.calls import eventually
from tests.deployment.test_policy import policy
from tests.deployment.test_servicer import refused
from tests.deployment.town import BY, ENDPOINT, Town, town


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema) as made:
        yield made


def update(place: Town, mask: list[str], name: str = ENDPOINT, **fields: Any) -> Any:
    request = rpc.UpdateEndpointRequest(name=name, update_mask={"paths": mask}, traffic_policy=policy(**fields))
    return place.stub.UpdateEndpoint(request, metadata=BY)


async def test_a_policy_reaches_envoy_and_edited_routes_are_recorded(place: Town, tmp_path: Path) -> None:
    address = await place.found()
    await place.register(1, models.classifier())
    await place.finished(await place.request(1))
    assert (await place.predict(address))[0] == 200
    reply = await update(place, ["traffic_policy.max_request_bytes"], max_request_bytes=10, timeout="9s")
    state = await place.endpoint()
    assert state.traffic_policy == policy(max_request_bytes=10)
    assert state.revision == reply.revision

    async def answers(status: int) -> bool:
        return (await place.predict(address))[0] == status

    await eventually(lambda: answers(413))
    again = await update(place, ["traffic_policy"], max_request_bytes=10)
    assert again.revision == reply.revision, "nothing new, so no fact"
    await update(place, ["traffic_policy"])
    await eventually(lambda: answers(200))

    routes = next(tmp_path.rglob("gateway/routes.json"))
    content = json.loads(routes.read_text())
    for route in content["resources"][0]["virtual_hosts"][0]["routes"]:
        if route["match"]["prefix"].startswith("/risk/"):
            route["route"]["timeout"] = "0.001s"
    beside = routes.with_suffix(".edited")
    beside.write_text(json.dumps(content))
    beside.replace(routes)

    async def recorded() -> str:
        return str((await place.endpoint()).last_repair)

    assert "was changed (its other settings)" in await eventually(recorded, seconds=10.0)
    await eventually(lambda: answers(200))


async def test_updates_are_refused_with_a_reason(place: Town) -> None:
    missing = f"{ENDPOINT}-nowhere"
    assert await refused(update(place, ["traffic_policy"], missing), grpc.StatusCode.NOT_FOUND) == "ENDPOINT_NOT_FOUND"
    await place.found()
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    for mask in ([], ["description"], ["traffic_policy.nothing"]):
        assert await refused(update(place, mask), wrong)
    slow: dict[str, Any] = {"timeout": "1s", "retries": {"attempts": 1, "per_try_timeout": "2s"}}
    assert await refused(update(place, ["traffic_policy"], **slow), wrong) == "INVALID_REQUEST"
    assert await refused(update(place, ["traffic_policy"], sticky_sessions={"header": "No Header"}), wrong)
    assert await refused(update(place, ["traffic_policy"], sticky_sessions={}), wrong)
    assert (await place.endpoint()).state == types.ENDPOINT_STATE_ACTIVE
    await place.stub.RemoveEndpoint(rpc.RemoveEndpointRequest(name=ENDPOINT), metadata=BY)
    assert await refused(update(place, ["traffic_policy"])) == "ENDPOINT_REMOVED"
