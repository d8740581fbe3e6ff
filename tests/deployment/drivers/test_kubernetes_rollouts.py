"""Whole rollouts on a cluster: the shares of a route move, controllers die, people interfere, the API goes away."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment import failpoints
from services.deployment.controller import Controller
from services.deployment.domain.states import FAILED, ROLLED_BACK, SUCCEEDED, is_unfinished
from services.deployment.drivers.kubernetes import tallies
from services.deployment.drivers.kubernetes.compare import change_of
from services.deployment.drivers.kubernetes.names import workload_name
from services.deployment.gateway.config import cluster_of
from services.deployment.plane import platforms_of
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.kube.controllers import Failure
from testkit.kube_api import RESOURCES
from tests.deployment import models
from tests.deployment.build import canary
from tests.deployment.calls import eventually
from tests.deployment.drivers.cluster import Cluster, cluster, kubernetes_settings, watched_api
from tests.deployment.drivers.stand import SETTINGS, crashing_once_at_each
from tests.deployment.town import ENDPOINT, town, version_name

CANARY = {"canary": canary(10, 50, hold=0.2).canary}


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Cluster]:
    async with cluster(nats, postgres, tmp_path, schema) as made:
        yield made


def name(number: int) -> str:
    return workload_name(cluster_of(ENDPOINT, version_name(number)))


async def serving(place: Cluster, *numbers: int) -> None:
    """Versions registered; the first one serves."""
    for number in numbers:
        await place.town.register(number, models.classifier(bias=float(number)))
    first = await place.town.finished(await place.town.request(numbers[0]))
    assert first.state == SUCCEEDED, first


async def test_a_canary_moves_the_shares_of_the_route_and_leaves_nothing_behind(place: Cluster) -> None:
    await serving(place, 1, 2)
    assert (await place.town.endpoint()).address == "https://models.example.com/risk/fraud-eu"
    second = await place.town.finished(await place.town.request(2, **CANARY))
    assert second.state == SUCCEEDED, second
    assert place.watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
    assert place.names("deployments") == [name(2)]
    assert place.names("services") == [name(2)]
    live = place.api.store.select("deployments")[0]
    assert live["metadata"]["labels"]["app.kubernetes.io/version"] == "2"
    await place.town.stub.RemoveEndpoint(rpc.RemoveEndpointRequest(name=ENDPOINT))

    async def removed() -> bool:
        return bool((await place.town.endpoint()).state == types.ENDPOINT_STATE_REMOVED)

    await eventually(removed)
    assert place.api.store.objects == {}


async def test_an_artifact_that_is_not_the_approved_one_fails_and_touches_nothing(place: Cluster) -> None:
    await serving(place, 1, 2)
    place.api.controllers.failing[name(2)] = Failure(3, "it has digest 00, but ab was approved", init=True)
    ended = await place.town.finished(await place.town.request(2, **CANARY))
    assert (ended.state, ended.trigger) == (FAILED, types.TRIGGER_ARTIFACT)
    assert "was approved" in ended.cause
    assert place.weights() == {"1": 100}

    async def gone() -> bool:
        return place.names("deployments") == [name(1)]

    await eventually(gone)


async def test_pods_that_never_become_ready_end_the_rollout_with_their_reason(place: Cluster) -> None:
    await serving(place, 1, 2)
    place.api.controllers.failing[name(2)] = Failure(message="back-off pulling image", reason="ImagePullBackOff")
    strategy = types.Strategy(canary=CANARY["canary"])
    strategy.ready_deadline.FromSeconds(1)
    ended = await place.town.finished(
        await place.town.request(2, canary=strategy.canary, ready_deadline=strategy.ready_deadline)
    )
    assert (ended.state, ended.trigger) == (FAILED, types.TRIGGER_REPLICAS)
    assert "ImagePullBackOff" in ended.cause
    assert place.weights() == {"1": 100}


async def test_weights_changed_by_hand_are_put_right_and_recorded(place: Cluster) -> None:
    await serving(place, 1)
    (route,) = place.api.store.select("httproutes")
    rules = route["spec"]["rules"]
    rules = [{**rules[0], "backendRefs": [{**rules[0]["backendRefs"][0], "weight": 7}]}]
    place.api.edit("httproutes", route["metadata"]["name"], {"spec": {"rules": rules}})

    async def healed() -> bool:
        (live,) = place.api.store.select("httproutes")
        return bool(live["spec"]["rules"][0]["backendRefs"][0]["weight"] == 100)

    await eventually(healed, seconds=10)
    state = await place.repaired("is put right")
    assert "weight is 7" in state.last_repair


async def test_a_deployment_and_a_route_deleted_by_hand_come_back_and_that_is_recorded(place: Cluster) -> None:
    await serving(place, 1)
    before = {one["metadata"]["uid"] for one in place.api.store.select("deployments")}
    for plural in ("deployments", "httproutes"):
        (live,) = place.api.store.select(plural)
        resource = next(one for one in place.api._resources.values() if one.plural == plural)
        place.api.store.delete(resource, "models", live["metadata"]["name"])
    state = await place.repaired("was gone and is made again")
    assert "Deployment" in state.last_repair
    after = {one["metadata"]["uid"] for one in place.api.store.select("deployments")}
    assert len(after) == 1
    assert before.isdisjoint(after)

    async def whole() -> bool:
        return bool(place.names("httproutes")) and place.weights() == {"1": 100}

    await eventually(whole, seconds=10)
    # The pods were gone with their Deployment for a while, through nobody's fault here.
    place.watchman.broken.clear()


async def test_fields_of_others_are_left_alone(place: Cluster) -> None:
    await serving(place, 1)
    place.api.edit("deployments", name(1), {"metadata": {"annotations": {"team": "blue"}}})
    (live,) = place.api.store.select("deployments")
    writes = place.writes("first")
    await asyncio.sleep(1.5)  # Several turns of the controller.
    assert place.writes("first") == writes
    assert place.api.store.select("deployments")[0]["metadata"]["annotations"]["team"] == "blue"
    assert place.api.store.select("deployments")[0]["metadata"]["uid"] == live["metadata"]["uid"]


async def test_a_rollout_waits_for_an_api_that_is_away_and_forgets_nothing(place: Cluster) -> None:
    await serving(place, 1, 2)
    place.api.away = True
    request = await place.town.request(2, **CANARY)
    await asyncio.sleep(0.5)
    assert is_unfinished((await place.town.rollout(request)).state)
    place.api.store.compact()  # Watches find their revision gone, and list anew.
    place.api.away = False
    ended = await place.town.finished(request)
    assert ended.state == SUCCEEDED, ended
    assert place.weights() == {"2": 100}


async def test_watches_that_break_all_the_time_only_cost_time(place: Cluster) -> None:
    await serving(place, 1, 2)
    request = await place.town.request(2, **CANARY)
    for _ in range(8):
        place.api.drop_watches()
        await asyncio.sleep(0.15)
    ended = await place.town.finished(request)
    assert ended.state == SUCCEEDED, ended


async def turn_until_finished(place: Cluster, request: str, fresh: Any) -> types.Rollout:
    """Controllers that live until they crash, one after the other."""
    controller = fresh()

    async def over() -> types.Rollout | None:
        nonlocal controller
        try:
            await controller.turn()
        except failpoints.Crash:
            await asyncio.gather(*(one.driver.close() for one in controller._platforms.values()))
            controller = fresh()
        state = await place.town.rollout(request)
        return None if is_unfinished(state.state) else state

    found: types.Rollout = await eventually(over, seconds=60)
    await asyncio.gather(*(one.driver.close() for one in controller._platforms.values()))
    return found


async def test_a_controller_that_dies_at_every_point_ends_the_rollout_all_the_same(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with cluster(nats, postgres, tmp_path, schema, roles="rpc,projector,reactor") as place:
        rooms = place.town.live.rooms

        def fresh() -> Controller:
            return Controller(rooms, {"kubernetes": platforms_of(rooms.settings)["kubernetes"]})

        for number in (1, 2):
            await place.town.register(number, models.classifier(bias=float(number)))
        points = tuple(sorted(failpoints.POINTS - {*failpoints.PROCESS_POINTS, *failpoints.DOCKER_POINTS}))
        with crashing_once_at_each(points) as reached:
            first = await turn_until_finished(place, await place.town.request(1), fresh)
            second = await turn_until_finished(place, await place.town.request(2, **CANARY), fresh)
        assert (first.state, second.state) == (SUCCEEDED, SUCCEEDED)
        unreached = {point.split(".")[2] for point in set(points) - set(reached)}
        assert unreached <= {"InferenceService", "HorizontalPodAutoscaler", "HTTPRoute"}
        assert set(failpoints.CONTROLLER_POINTS) <= set(reached)
        assert place.watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
        assert place.weights() == {"2": 100}
        intervals = await place.town.stub.ListServingIntervals(rpc.ListServingIntervalsRequest(parent="projects/risk"))
        assert [(row.version[-1], row.percent) for row in intervals.serving_intervals] == [
            *(("1", 100), ("1", 90), ("2", 10), ("1", 50), ("2", 50), ("2", 100))
        ]


async def test_of_two_services_one_acts_and_the_other_takes_over(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with watched_api() as (api, watchman), AsyncExitStack() as stack:
        settings = kubernetes_settings(api, tmp_path, "first")
        first = await stack.enter_async_context(town(nats, postgres, tmp_path, schema, **settings))
        await first.found(driver="kubernetes", driver_settings=SETTINGS)
        place = Cluster(api, first, watchman)
        await serving(place, 1, 2)
        settings = kubernetes_settings(api, tmp_path, "second")
        async with town(nats, postgres, tmp_path / "second", schema, **settings) as second:
            request = await first.request(2, canary=canary(10, 50, hold=1).canary)
            await first.reaches(request, types.ROLLOUT_STATE_PROGRESSING)
            assert place.writes("first") > 0
            assert not any(by == "second" for by, _, _ in api.requests)
            await stack.aclose()
            second.newest = first.newest
            ended = await second.finished(request)
            assert ended.state == SUCCEEDED, ended
            assert place.writes("second") > 0
        assert watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
        assert watchman.broken == []


async def test_two_controllers_that_both_act_do_no_harm(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """The fence lets one act; should it ever fail, names, revisions and request ids still hold."""
    async with cluster(nats, postgres, tmp_path, schema, roles="rpc,projector,reactor") as place:
        rooms = place.town.live.rooms
        both = [Controller(rooms, {"kubernetes": platforms_of(rooms.settings)["kubernetes"]}) for _ in range(2)]
        for number in (1, 2):
            await place.town.register(number, models.classifier(bias=float(number)))

        async def ended(request: str) -> types.Rollout:
            async def over() -> types.Rollout | None:
                await asyncio.gather(*(one.turn() for one in both))
                state = await place.town.rollout(request)
                return None if is_unfinished(state.state) else state

            found: types.Rollout = await eventually(over, seconds=40)
            return found

        try:
            await ended(await place.town.request(1))
            last = await ended(await place.town.request(2, **CANARY))
        finally:
            await asyncio.gather(*(one.driver.close() for each in both for one in each._platforms.values()))
        assert last.state == SUCCEEDED, last
        assert place.watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
        assert place.names("deployments") == [name(2)]
        assert len(place.api.store.select("pods")) == 1


async def test_manifests_for_gitops_are_what_the_driver_itself_asks_for(place: Cluster) -> None:
    await serving(place, 1, 2)
    reply = await place.town.stub.GetManifest(rpc.GetManifestRequest(name=ENDPOINT))
    documents = list(yaml.safe_load_all(reply.yaml))
    assert [one["kind"] for one in documents] == [
        *("NetworkPolicy", "Deployment", "Service", "PodDisruptionBudget", "HTTPRoute")
    ]
    for one in documents:
        plural = next(known.plural for known in RESOURCES if known.kind == one["kind"])
        assert change_of(one, place.api.store.objects[plural, "models", one["metadata"]["name"]]) is None
    before = (await place.town.endpoint()).revision
    await place.town.finished(await place.town.request(2, blue_green=types.BlueGreen()))
    then = rpc.GetManifestRequest(name=ENDPOINT, read=ReadOptions(as_of_revision=before))
    assert (await place.town.stub.GetManifest(then)).yaml == reply.yaml
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modelog.cli.main", "endpoints", "manifest", "risk/fraud-eu"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "MODELOG_DEPLOYMENT": place.town.live.running.address},
    )
    printed = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert f"name: {name(2)}" in printed
    assert f"name: {name(1)}" not in printed
    assert len(list(yaml.safe_load_all(printed))) == len(documents)


async def test_what_does_not_run_on_a_cluster_has_no_manifests(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with town(nats, postgres, tmp_path, schema, roles="rpc,projector,reactor") as made:
        await made.found()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made.stub.GetManifest(rpc.GetManifestRequest(name=ENDPOINT))
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        wanted = rpc.DefineEnvironmentRequest(parent="projects/risk", environment_id="cloud", driver="kubernetes")
        with pytest.raises(grpc.aio.AioRpcError, match="there is no driver 'kubernetes' here"):
            await made.stub.DefineEnvironment(wanted)


async def test_a_version_whose_pods_count_failures_goes_back(place: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await serving(place, 1, 2)
    asked = itertools.count(1)

    async def fetch(_address: str, _path: str, *, timeout: float) -> tuple[int, bytes]:
        number = next(asked) * 10
        return 200, json.dumps({"requests": number, "errors": number // 2, "latency": [[1.0, number]]}).encode()

    monkeypatch.setattr(tallies, "fetch", fetch)
    strategy = canary(10, hold=30, max_error_rate=0.05, min_requests=20)
    ended = await place.town.finished(await place.town.request(2, canary=strategy.canary))
    assert (ended.state, ended.trigger) == (ROLLED_BACK, types.TRIGGER_ANALYSIS)
    assert "error rate 0.5 is above 0.05" in ended.cause
    assert place.weights() == {"1": 100}
    assert place.names("deployments") == [name(1)]


async def test_a_canary_in_the_form_of_kserve(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with cluster(nats, postgres, tmp_path, schema, form="kserve") as place:
        await serving(place, 1, 2)
        second = await place.town.finished(await place.town.request(2, **CANARY))
        assert second.state == SUCCEEDED, second
        assert place.watchman.percents == [[], [100], [10, 90], [50, 50], [100]]
        assert place.names("inferenceservices") == [name(2)]
        assert place.names("deployments") == []


async def test_a_cluster_that_does_not_answer_holds_up_nobody_elsewhere(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """An endpoint on processes is served and removed while the cluster of another one is away."""
    async with cluster(nats, postgres, tmp_path, schema) as place:
        await serving(place, 1)
        place.api.away = True
        stub = place.town.stub
        here = rpc.DefineEnvironmentRequest(parent="projects/risk", environment_id="here", driver="process")
        await stub.DefineEnvironment(here)
        made = rpc.CreateEndpointRequest(
            parent="projects/risk", endpoint_id="local", environment="projects/risk/environments/here"
        )
        endpoint = (await stub.CreateEndpoint(made)).name
        strategy = types.Strategy(recreate=types.Recreate())
        asked = rpc.RequestRolloutRequest(parent=endpoint, version=version_name(1), strategy=strategy)
        place.town.newest = (reply := await stub.RequestRollout(asked)).revision

        async def started() -> bool:
            return bool((await place.town.rollout(reply.name)).ready_replicas)

        await eventually(started)
        place.api.away = False
