"""Envoy as gateway: real requests while weights change, replicas die and versions come and go."""

import asyncio
import os
import signal

import pytest

from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.counts import Counts, since
from tests.deployment import models
from tests.deployment.calls import Load, acall, eventually
from tests.deployment.conftest import ENDPOINT, Plane, make_keeper, version
from tests.deployment.test_process_driver import pid

PATH = "/risk/fraud-eu/v2/models/fraud/infer"
ROW = models.request([[1.0, 2.0, 3.0]])


async def test_weights_change_under_load_and_no_request_fails(plane: Plane) -> None:
    one = await plane.ready(plane.workload(1, models.classifier()))
    two = await plane.ready(plane.workload(2, models.classifier(bias=2.0)))
    both = {1: one, 2: two}
    await plane.route(both, {1: 100})
    assert (await acall(plane.keeper.listen, "/risk/other/v2"))[0] == 404
    async with Load(plane.keeper.listen, PATH, ROW) as load:
        for percent in (10, 25, 50, 75, 90, 50, 10, 100, 40):
            await plane.route(both, {1: 100 - percent, 2: percent} if percent < 100 else {2: 100})
            await asyncio.sleep(0.2)
        await plane.route({2: two}, {2: 100})
        await asyncio.sleep(0.3)
    assert set(load.statuses) == {200}, load.statuses
    assert load.statuses[200] > 300
    assert load.versions[version(1)] > 50
    assert load.versions[version(2)] > 50


async def test_shares_are_the_weights(plane: Plane) -> None:
    one = await plane.ready(plane.workload(1, models.classifier()))
    two = await plane.ready(plane.workload(2, models.classifier()))
    await plane.route({1: one, 2: two}, {1: 80, 2: 20})
    async with Load(plane.keeper.listen, PATH, ROW) as load:
        await eventually(lambda: _enough(load, 600))
    share = load.versions[version(2)] / load.statuses[200]
    assert 0.13 < share < 0.27  # Four standard deviations of a share of 0.2 in 600.


async def _enough(load: Load, requests: int) -> bool:
    return load.statuses[200] >= requests


async def test_one_of_two_replicas_dies_and_no_request_fails(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier(), replicas=2)
    await plane.route({1: await plane.ready(workload)}, {1: 100})
    async with Load(plane.keeper.listen, PATH, ROW) as load:
        await asyncio.sleep(0.3)
        os.kill(pid(plane, "risk_fraud-eu_fraud_1_1"), signal.SIGKILL)
        await asyncio.sleep(0.5)
        await plane.route({1: await plane.ready(workload)}, {1: 100})
        await asyncio.sleep(0.3)
    assert set(load.statuses) == {200}, load.statuses


async def test_a_route_waits_for_ready_replicas(plane: Plane) -> None:
    one = await plane.ready(plane.workload(1, models.classifier()))
    await plane.route({1: one}, {1: 100})
    name, dead = cluster_of(ENDPOINT, version(2)), "127.0.0.1:9"
    first = cluster_of(ENDPOINT, version(1))
    table = Table({ENDPOINT: Route(ENDPOINT, {name: 100})}, {first: one, name: (dead,)})
    for _ in range(10):
        assert ENDPOINT not in (await plane.gateway.apply(table)).routed
        await asyncio.sleep(0.1)
    assert (await acall(plane.keeper.listen, PATH, ROW))[0] == 200


async def test_an_endpoint_without_traffic_says_so(plane: Plane) -> None:
    await plane.route({}, {})
    status, answer = await acall(plane.keeper.listen, PATH, ROW)
    assert (status, answer["error"]) == (503, "no version serves this endpoint")


async def test_requests_errors_and_latency_are_counted_by_version(plane: Plane) -> None:
    good = await plane.ready(plane.workload(1, models.classifier()))
    bad = await plane.ready(plane.workload(2, models.failing()))
    cluster = cluster_of(ENDPOINT, version(2))
    await plane.route({1: good, 2: bad}, {2: 100})
    before = await plane.gateway.counts(cluster)
    for _ in range(20):
        assert (await acall(plane.keeper.listen, PATH, ROW))[0] == 500
    counted = since(await plane.gateway.counts(cluster), before)
    assert (counted.requests, counted.errors) == (20, 20)

    async def measured() -> bool:
        latency = since(await plane.gateway.counts(cluster), before).latency
        return bool(latency) and latency[-1][1] == 20

    await eventually(measured)
    assert await plane.gateway.counts("unknown") == Counts()


async def test_the_gateway_keeps_addresses_and_routes_over_a_crash(plane: Plane) -> None:
    one = await plane.ready(plane.workload(1, models.classifier()))
    await plane.route({1: one}, {1: 100})
    os.kill(int((plane.keeper.folder / "pid").read_text()), signal.SIGKILL)

    async def refused() -> bool:
        try:
            await acall(plane.keeper.listen, PATH, ROW)
        except OSError:
            return True
        return False

    await eventually(refused)
    again = make_keeper(plane.folder)
    assert (again.listen, again.admin) == (plane.keeper.listen, plane.keeper.admin)
    plane.keeper = again

    async def serves() -> bool:
        await plane.keeper.ensure()
        try:
            return (await acall(plane.keeper.listen, PATH, ROW))[0] == 200
        except OSError:
            return False

    await eventually(serves)


async def test_clusters_without_route_go_when_their_last_request_is_answered(plane: Plane) -> None:
    slow = await plane.ready(plane.workload(1, models.slow(1_200_000)))
    fast = await plane.ready(plane.workload(2, models.classifier()))
    await plane.route({1: slow}, {1: 100})
    waiting = asyncio.create_task(acall(plane.keeper.listen, PATH, ROW))
    await asyncio.sleep(0.3)
    await plane.route({2: fast}, {2: 100})
    name = cluster_of(ENDPOINT, version(1))
    table = Table({ENDPOINT: Route(ENDPOINT, {cluster_of(ENDPOINT, version(2)): 100})}, {})
    assert not waiting.done(), "the slow model is too fast for this test"
    assert name in (await plane.gateway.apply(table)).clusters
    assert (await waiting)[0] == 200

    async def gone() -> bool:
        return name not in (await plane.gateway.apply(table)).clusters

    await eventually(gone)


def test_an_envoy_that_started_anew_counts_from_nothing() -> None:
    assert since(Counts(3, 1, ((1.0, 3),)), Counts(10, 2, ((1.0, 9),))) == Counts(3, 1, ((1.0, 3),))
    assert since(Counts(12, 2, ((1.0, 11),)), Counts(10, 2, ((1.0, 9),))) == Counts(2, 0, ((1.0, 2),))


@pytest.mark.parametrize("number", [1, 12])
def test_names_of_clusters(number: int) -> None:
    assert cluster_of(ENDPOINT, version(number)) == f"risk_fraud-eu_fraud_{number}"
