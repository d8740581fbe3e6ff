"""Replicas of a cluster are replaced: nothing is counted anew, nobody unfit is asked, who goes is let go of first."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from services.deployment.drivers import child
from services.deployment.gateway import drift, envoy, grpc
from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.counts import since
from services.deployment.gateway.envoy import Applied, Gateway
from services.deployment.gateway.files import Files
from tests.deployment.calls import Load, acall, eventually
from tests.deployment.conftest import ENDPOINT, Plane
from tests.deployment.test_policy import policy
from tests.deployment.test_traffic import ONE, PATH, SOON, asked, routed
from tests.deployment.upstreams import Upstream, upstreams


def table_of(*replicas: Upstream, to: TrafficPolicy | None = None) -> Table:
    route = Route(ENDPOINT, {ONE: 100}, policy=to or TrafficPolicy())
    return Table({ENDPOINT: route}, {ONE: tuple(one.address for one in replicas)})


async def replaced(plane: Plane, table: Table) -> Applied:
    """Applies the table until nobody but its replicas is asked."""

    async def done() -> Applied | None:
        applied = await plane.gateway.apply(table)
        return applied if ENDPOINT in applied.routed and not applied.behind else None

    found: Applied = await eventually(done)
    return found


async def test_what_was_counted_is_not_counted_anew_when_replicas_are_replaced(plane: Plane) -> None:
    """Envoy itself begins anew with errors and latencies, and the readings go on all the same."""
    async with upstreams("1a", "1b", "1c") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]]})
        for one in up.values():
            one.status = 500
        for number, names in enumerate((("1b",), ("1a", "1b"), ("1c",), ("1b", "1c")), 1):
            await replaced(plane, table_of(*(up[name] for name in names)))
            for _ in range(6 - number):  # Fewer each time: counts that begin anew do not pass those of before.
                assert (await asked(plane))[0] == 500
            whole = sum(6 - one for one in range(1, number + 1))

            async def counted(wanted: int = whole) -> bool:
                now = await plane.gateway.counts(ONE)
                latency = now.latency[-1][1] if now.latency else 0
                return (now.requests, now.errors, latency) == (wanted, wanted, wanted)

            await eventually(counted)


async def test_counts_never_go_back_while_replicas_are_replaced_under_load(plane: Plane) -> None:
    async with upstreams("1a", "1b", "1c") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]]})
        for one in up.values():
            one.status = 404
        last = await plane.gateway.counts(ONE)
        async with Load(plane.keeper.listen, PATH, {}) as load:
            for names in (("1b",), ("1a", "1b"), ("1c",), ("1a",), ("1b", "1c")):
                await replaced(plane, table_of(*(up[name] for name in names)))
                for _ in range(5):
                    now = await plane.gateway.counts(ONE)
                    assert now.requests >= last.requests
                    assert now.client_errors >= last.client_errors
                    assert since(now, last).requests == now.requests - last.requests
                    last = now
                    await asyncio.sleep(0.05)
        assert set(load.statuses) == {404}, load.statuses
        assert (await plane.gateway.counts(ONE)).requests == load.statuses[404]


async def test_a_replica_that_goes_is_behind_until_envoy_asks_it_no_more(plane: Plane) -> None:
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, upstreams("1a", "1b") as up:
        slowly = policy(health_checks={"timeout": "1s", "interval": "0.2s"})
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]]}, to=slowly)
        route = Route(ENDPOINT, {ONE: 100}, policy=slowly)
        table = Table({ENDPOINT: route}, {ONE: (up["1b"].address, f"127.0.0.1:{port}")})
        applied = await plane.gateway.apply(table)
        assert applied.behind == {ONE}
        for _ in range(5):  # Envoy waits for the silent one, and meanwhile goes on as before.
            assert (await asked(plane))[:2] == (200, "1a")
        assert (await plane.gateway.apply(table)).behind == {ONE}
        await replaced(plane, table)
        assert {(await asked(plane))[:2] for _ in range(10)} == {(200, "1b")}


async def test_who_is_not_ready_or_ejected_is_not_asked_for_longer_by_a_replacement(plane: Plane) -> None:
    to = policy(
        health_checks=SOON | {"unhealthy_threshold": 1},
        outlier_ejection={"consecutive_gateway_errors": 2, "interval": "0.2s", "base_ejection_time": "60s"},
        retries={"attempts": 3, "on": ["RETRY_ON_GATEWAY_ERROR"]},
    )
    async with upstreams("1a", "1b", "1c", "1d") as up:
        up["1a"].ready = False
        up["1b"].status = 503
        await routed(plane, {ONE: 100}, {ONE: [up["1a"], up["1b"], up["1c"]]}, to=to)
        for others in (("1c", "1d"), ("1c",), ("1c", "1d")):
            async with Load(plane.keeper.listen, PATH, {}) as load:
                await replaced(plane, table_of(up["1a"], up["1b"], *(up[name] for name in others), to=to))
                await eventually(lambda: _ejected(plane, up["1b"]))
                known = len(up["1b"].requests)
                await asyncio.sleep(0.3)
            assert set(load.statuses) == {200}, load.statuses
            assert len(up["1b"].requests) == known
        assert up["1a"].requests == []


async def _ejected(plane: Plane, one: Upstream) -> bool:
    return not (await plane.gateway._used())[ONE][one.address]


async def test_replicas_that_are_lost_with_their_file_are_those_that_envoy_asks(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy, "_AGAIN_SECONDS", 0.0)
    two = cluster_of(ENDPOINT, "projects/risk/models/fraud/versions/2")
    async with upstreams("1a", "2a") as up:
        both = Table(table_of(up["1a"]).routes, {ONE: (up["1a"].address,), two: (up["2a"].address,)})
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]], two: [up["2a"]]})
        path = plane.keeper.folder / "clusters.json"
        path.write_text("{")
        again = Gateway(Files(plane.keeper.folder), plane.keeper.admin)
        unready = Table({ENDPOINT: Route(ENDPOINT, {two: 100})}, {two: ()})
        assert (await again.apply(unready)).clusters == {ONE, two}
        assert Files(plane.keeper.folder).clusters()[ONE] == both.clusters[ONE]
        assert (await asked(plane))[:2] == (200, "1a")


async def test_a_gateway_of_a_release_with_a_file_for_each_cluster_s_replicas_goes_on(plane: Plane) -> None:
    async with upstreams("1a", "1b") as up:
        table = await routed(plane, {ONE: 100}, {ONE: [up["1a"]]})
        folder = plane.keeper.folder
        clusters = folder / "clusters.json"
        _as_before(clusters, folder / "replicas")
        assert "EDS" in clusters.read_text()
        await eventually(lambda: _of_eds(plane))
        again = Gateway(Files(folder), plane.keeper.admin)
        plane.gateway = again
        async with Load(plane.keeper.listen, PATH, {}) as load:
            await asyncio.sleep(0.2)
            repaired = (await again.apply(table)).repaired
            await asyncio.sleep(0.2)
            await replaced(plane, table_of(up["1a"], up["1b"]))
            await asyncio.sleep(0.2)
        assert repaired == {}
        assert set(load.statuses) == {200}, load.statuses
        assert set(load.versions) == {"1a", "1b"}
        assert "EDS" not in clusters.read_text()


def _as_before(clusters: Path, folder: Path) -> None:
    """Writes the clusters as earlier releases did."""
    folder.mkdir()
    resources = drift.resources_of(clusters.read_text())
    for one in resources:
        replicas = folder / f"{one['name']}.json"
        assignment = one.pop("load_assignment") | {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        }
        _move(replicas, [assignment])
        source = {"resource_api_version": "V3", "path_config_source": {"path": str(replicas)}}
        one |= {"type": "EDS", "eds_cluster_config": {"eds_config": source}}
    _move(clusters, resources)


def _move(path: Path, resources: list[dict[str, Any]]) -> None:
    beside = path.with_suffix(".beside")
    beside.write_text(json.dumps({"version_info": drift.version_of(resources), "resources": resources}))
    beside.replace(path)


async def _of_eds(plane: Plane) -> bool:
    """Envoy has a subscription for the cluster's replicas."""
    return bool(await plane.gateway._stats(rf"^cluster\.{ONE}\.update_success$")) and _watches(plane) > 2


def _watches(plane: Plane) -> int:
    """Inotify instances of the running Envoy."""
    keeper = int((plane.keeper.folder / "pid").read_text())
    found = subprocess.run(["pgrep", "-P", str(keeper)], capture_output=True, text=True, check=True)
    (pid,) = map(int, found.stdout.split())
    folder = Path(f"/proc/{pid}/fd")
    return sum(str(one.readlink()) == "anon_inode:inotify" for one in folder.iterdir())


async def test_a_gateway_of_hundreds_of_versions_serves_them_and_watches_no_more_files(plane: Plane) -> None:
    """Envoy would need an inotify instance for each file of replicas; a user has 128 unless told otherwise."""
    async with _serving(plane, versions=3):
        few = _watches(plane)
    async with _serving(plane, versions=300) as endpoints:
        assert _watches(plane) == few
        for endpoint in (endpoints[0], endpoints[150], endpoints[-1]):
            _, project, _, id_ = endpoint.split("/")
            assert (await acall(plane.keeper.listen, f"/{project}/{id_}/v2/models/fraud/infer", {}))[0] == 200


@asynccontextmanager
async def _serving(plane: Plane, *, versions: int) -> AsyncIterator[list[str]]:
    """A gateway that starts with so many versions, an endpoint each; their endpoints."""
    endpoints = [f"projects/risk/endpoints/e{number}" for number in range(versions)]
    async with upstreams("all") as up:
        clusters: dict[str, tuple[str, ...]] = {}
        routes: dict[str, Route] = {}
        for endpoint in endpoints:
            name = cluster_of(endpoint, "projects/risk/models/fraud/versions/1")
            clusters |= {name: (up["all"].address,), grpc.beside(name): ()}
            routes[endpoint] = Route(endpoint, {name: 100})
        table = Table(routes, clusters)
        await plane.gateway.apply(table)  # So Envoy starts with all of them.
        assert not child.lives(plane.keeper.folder)

        async def done() -> bool:
            await plane.keeper.ensure()
            applied = await plane.gateway.apply(table)
            return applied.routed == set(endpoints) and not applied.behind

        await eventually(done, seconds=60.0)
        yield endpoints
    await plane.keeper.close()
    plane.keeper._next_start = 0.0
