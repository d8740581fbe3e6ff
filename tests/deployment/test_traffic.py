"""Envoy under traffic policies and mirrors: who answers, who is spared, what the caller sees."""

import asyncio
import http.client
import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from services.deployment.gateway import envoy, grpc
from services.deployment.gateway.config import SHADOW_HEADER, Route, Table, cluster_of
from services.deployment.gateway.counts import since
from services.deployment.gateway.envoy import Gateway
from services.deployment.gateway.files import Files
from tests.deployment.calls import Load, acall, eventually
from tests.deployment.conftest import ENDPOINT, Plane, version
from tests.deployment.test_policy import policy
from tests.deployment.upstreams import Upstream, upstreams

PATH = "/risk/fraud-eu/v2/models/fraud/infer"
ONE, TWO, THREE = (cluster_of(ENDPOINT, version(number)) for number in (1, 2, 3))
SOON = {"interval": "0.2s", "timeout": "1s"}


async def routed(
    plane: Plane,
    weights: Mapping[str, int],
    clusters: Mapping[str, list[Upstream]],
    *,
    mirrors: Mapping[str, float] | None = None,
    to: TrafficPolicy | None = None,
) -> Table:
    """Applies a table until Envoy uses it."""
    route = Route(ENDPOINT, weights, mirrors=mirrors or {}, policy=to or TrafficPolicy())
    table = Table({ENDPOINT: route}, {name: tuple(one.address for one in ups) for name, ups in clusters.items()})

    async def done() -> bool:
        await plane.keeper.ensure()
        return ENDPOINT in (await plane.gateway.apply(table)).routed

    await eventually(done)
    return table


def ask(address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, str]:
    """Status, who answered, and the cookie that came with it."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("POST", PATH, body, dict(headers))
        response = connection.getresponse()
        content = json.loads(response.read() or b"{}")
        return response.status, content.get("from", ""), response.headers.get("set-cookie", "")
    finally:
        connection.close()


async def asked(plane: Plane, headers: Mapping[str, str] | None = None, body: bytes = b"{}") -> tuple[int, str, str]:
    return await asyncio.to_thread(ask, plane.keeper.listen, headers or {}, body)


async def test_a_caller_stays_with_version_and_replica_while_weights_move(plane: Plane) -> None:
    sticky = policy(sticky_sessions={"header": "x-customer"})
    callers = [f"customer-{number}" for number in range(40)]
    async with upstreams("1a", "1b", "2a", "2b") as up:
        clusters = {ONE: [up["1a"], up["1b"]], TWO: [up["2a"], up["2b"]]}
        seen: dict[str, list[str]] = {caller: [] for caller in callers}
        for percent in (10, 30, 60):
            await routed(plane, {ONE: 100 - percent, TWO: percent}, clusters, to=sticky)
            for caller in callers * 2:
                seen[caller].append((await asked(plane, {"x-customer": caller}))[1])
    for answers in seen.values():
        for first, second in zip(answers[::2], answers[1::2], strict=True):
            assert first == second, "weights rested"
        changes = [(one, other) for one, other in itertools.pairwise(answers) if one != other]
        assert all(one[0] < other[0] for one, other in changes), f"from new to old, or to another replica: {answers}"
        assert len(changes) <= 1
    ends = Counter(answers[-1] for answers in seen.values())
    assert all(ends[name] > 0 for name in up), ends


async def test_a_cookie_keeps_a_caller_from_its_second_request_on(plane: Plane) -> None:
    sticky = policy(sticky_sessions={"cookie": {"name": "modelog", "ttl": "60s"}})
    async with upstreams("1a", "1b", "2a", "2b") as up:
        await routed(plane, {ONE: 50, TWO: 50}, {ONE: [up["1a"], up["1b"]], TWO: [up["2a"], up["2b"]]}, to=sticky)
        spread = set()
        for _ in range(12):
            _, _, cookie = await asked(plane)
            assert "Path=/risk/fraud-eu" in cookie
            assert "HttpOnly" in cookie
            value = {"cookie": cookie.partition(";")[0]}
            answers = {(await asked(plane, value))[1] for _ in range(5)}
            assert len(answers) == 1, answers
            spread |= answers
        assert len(spread) > 1


async def test_a_mirror_gets_a_share_and_is_neither_heard_nor_waited_for(plane: Plane) -> None:
    async with upstreams("1a", "2a") as up:
        clusters, mirrors = {ONE: [up["1a"]], TWO: [up["2a"]]}, {TWO: 30.0}
        up["2a"].delay_seconds, up["2a"].status = 5.0, 500
        await routed(plane, {ONE: 100}, clusters, mirrors=mirrors)
        async with Load(plane.keeper.listen, PATH, {}) as load:
            await eventually(lambda: _enough(load, 400))
        assert set(load.statuses) == {200}
        assert set(load.versions) == {"1a"}
        copied, sent = len(up["2a"].requests), len(up["1a"].requests)
        assert 0.2 < copied / sent < 0.4, (copied, sent)  # Four standard deviations of a share of 0.3 in 400.
        ids = {one["x-request-id"] for one in up["1a"].requests}
        assert {one["x-request-id"] for one in up["2a"].requests} <= ids
        assert all(one[SHADOW_HEADER] == "1" for one in up["2a"].requests)
        assert not any(SHADOW_HEADER in one for one in up["1a"].requests)
        await up["2a"].stop()
        began = time.monotonic()
        for _ in range(20):
            assert (await asked(plane))[:2] == (200, "1a")
        assert time.monotonic() - began < 5.0, "waited for a mirror that is dead"


async def _enough(load: Load, requests: int) -> bool:
    return load.statuses[200] >= requests


async def test_a_route_waits_for_its_mirror(plane: Plane) -> None:
    async with upstreams("1a", "2a") as up:
        clusters = {ONE: [up["1a"]], TWO: [up["2a"]]}
        await routed(plane, {ONE: 100}, clusters)
        up["2a"].ready = False
        await asyncio.sleep(0)
        route = Route(ENDPOINT, {ONE: 100}, mirrors={THREE: 100.0})
        table = Table({ENDPOINT: route}, {ONE: (up["1a"].address,), THREE: (up["2a"].address,)})
        for _ in range(10):
            assert ENDPOINT not in (await plane.gateway.apply(table)).routed
            await asyncio.sleep(0.1)
        up["2a"].ready = True

        async def mirrored() -> bool:
            return ENDPOINT in (await plane.gateway.apply(table)).routed

        await eventually(mirrored)
        await asked(plane)
        await eventually(lambda: _sent(up["2a"], 1))
        assert THREE in (await plane.gateway.apply(table)).clusters


async def _sent(upstream: Upstream, requests: int) -> bool:
    return len(upstream.requests) >= requests


async def test_a_late_answer_is_504_and_a_late_try_is_tried_elsewhere(plane: Plane) -> None:
    async with upstreams("1a", "1b") as up:
        up["1a"].delay_seconds = 3.0
        clusters = {ONE: [up["1a"], up["1b"]]}
        await routed(plane, {ONE: 100}, clusters, to=policy(timeout="0.4s", retries={"attempts": 0}))
        assert {(await asked(plane))[0] for _ in range(6)} == {200, 504}
        twice = policy(timeout="10s", retries={"attempts": 2, "per_try_timeout": "0.3s"})
        before = (await plane.gateway.counts_of([ONE]))[ONE]
        await routed(plane, {ONE: 100}, clusters, to=twice)
        assert {(await asked(plane))[:2] for _ in range(6)} == {(200, "1b")}
        counted = since((await plane.gateway.counts_of([ONE]))[ONE], before)
        assert counted.timeouts > 0
        assert counted.retries > 0


async def test_retries_only_after_what_the_policy_says_and_never_when_it_says_so(plane: Plane) -> None:
    async with upstreams("1a", "1b") as up:
        up["1a"].status = 503
        clusters = {ONE: [up["1a"], up["1b"]]}
        await routed(plane, {ONE: 100}, clusters)
        assert {(await asked(plane))[0] for _ in range(6)} == {200, 503}
        await routed(plane, {ONE: 100}, clusters, to=policy(retries={"attempts": 1, "on": ["RETRY_ON_GATEWAY_ERROR"]}))
        assert {(await asked(plane))[0] for _ in range(6)} == {200}
        up["1a"].status, up["1a"].delay_seconds = 200, 0.5
        up["1b"].delay_seconds = 0.5
        await routed(plane, {ONE: 100}, clusters, to=policy(retries={"attempts": 0}))
        sent = len(up["1a"].requests) + len(up["1b"].requests)
        waiting = [asyncio.create_task(asked(plane)) for _ in range(4)]
        await eventually(lambda: _in_all(up, sent + 4))
        await up["1a"].stop()
        assert sorted(status for status, *_ in await asyncio.gather(*waiting)) == [200, 200, 503, 503]
        assert len(up["1a"].requests) + len(up["1b"].requests) == sent + 4


async def _in_all(up: Mapping[str, Upstream], requests: int) -> bool:
    return sum(len(one.requests) for one in up.values()) >= requests


async def test_a_replica_that_answers_errors_is_left_alone_and_comes_back(plane: Plane) -> None:
    ejected = policy(
        outlier_ejection={"consecutive_server_errors": 3, "base_ejection_time": "1s", "interval": "0.2s"},
        retries={"attempts": 0},
    )
    async with upstreams("1a", "1b") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"], up["1b"]]}, to=ejected)
        up["1a"].status = 500
        for _ in range(8):
            await asked(plane)
        assert (await plane.gateway.counts_of([ONE]))[ONE].ejections == 1
        known = len(up["1a"].requests)
        assert known == 3
        assert {(await asked(plane))[0] for _ in range(6)} == {200}
        up["1a"].status = 200

        async def back() -> bool:
            await asked(plane)
            return len(up["1a"].requests) > known

        await eventually(back)


async def test_the_only_replica_of_a_version_is_not_left_alone(plane: Plane) -> None:
    ejected = policy(outlier_ejection={"consecutive_server_errors": 1, "interval": "0.2s"}, retries={"attempts": 0})
    async with upstreams("1a") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]]}, to=ejected)
        up["1a"].status = 500
        assert {(await asked(plane))[0] for _ in range(5)} == {500}
        assert len(up["1a"].requests) == 5


async def test_requests_above_the_limits_are_refused_at_once(plane: Plane) -> None:
    limited = policy(max_request_bytes=100, limits={"max_connections": 1, "max_pending_requests": 1, "max_requests": 1})
    async with upstreams("1a") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]]}, to=limited)
        assert (await asked(plane, body=b"x" * 101))[0] == 413
        assert (await asked(plane, body=b"x" * 100))[0] == 200
        assert len(up["1a"].requests) == 1
        up["1a"].delay_seconds = 1.0
        statuses = Counter(status for status, *_ in await asyncio.gather(*(asked(plane) for _ in range(6))))
        assert statuses[503] >= 3, statuses
        assert statuses[200] >= 1, statuses


async def test_a_replica_that_says_it_is_not_ready_gets_nothing(plane: Plane) -> None:
    async with upstreams("1a", "1b") as up:
        soon = policy(health_checks=SOON | {"unhealthy_threshold": 1})
        await routed(plane, {ONE: 100}, {ONE: [up["1a"], up["1b"]]}, to=soon)
        up["1a"].ready = False

        async def spared() -> bool:
            return {(await asked(plane))[1] for _ in range(4)} == {"1b"}

        await eventually(spared)
        up["1a"].ready = True

        async def back() -> bool:
            return {(await asked(plane))[1] for _ in range(4)} == {"1a", "1b"}

        await eventually(back)


async def test_policies_change_under_load_and_no_request_fails(plane: Plane) -> None:
    policies = (
        policy(timeout="5s", max_request_bytes=1000),
        policy(sticky_sessions={"header": "x-customer"}, health_checks=SOON),
        policy(outlier_ejection={}, limits={"max_requests": 500}),
        policy(),
    )
    async with upstreams("1a", "1b") as up:
        clusters = {ONE: [up["1a"], up["1b"]]}
        await routed(plane, {ONE: 100}, clusters)
        async with Load(plane.keeper.listen, PATH, {}) as load:
            for one in policies:
                await routed(plane, {ONE: 100}, clusters, to=one)
                await asyncio.sleep(0.3)
    assert set(load.statuses) == {200}, load.statuses
    assert load.statuses[200] > 100


async def test_counts_of_several_clusters_are_read_at_once(plane: Plane) -> None:
    async with upstreams("1a", "2a") as up:
        await routed(plane, {ONE: 100}, {ONE: [up["1a"]], TWO: [up["2a"]]}, mirrors={TWO: 100.0})
        up["1a"].status, up["2a"].status = 404, 503
        for _ in range(5):
            assert (await asked(plane))[0] == 404

        async def counted() -> Any:
            counts = await plane.gateway.counts_of([ONE, TWO, "unknown"])
            one, two, nothing = counts[ONE], counts[TWO], counts["unknown"]
            assert nothing.requests == 0
            complete = two.requests == 5 and one.latency and one.latency[-1][1] == 5
            return (one, two) if complete else None

        one, two = await eventually(counted)
        assert (one.requests, one.errors, one.client_errors) == (5, 0, 5)
        assert (two.requests, two.errors, two.client_errors) == (5, 5, 0)


def is_http(route: Any) -> bool:
    return "weighted_clusters" in route.get("route", {}) and not grpc.is_route(route)


async def test_a_route_of_grpc_that_somebody_changes_is_put_right_too(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy, "_AGAIN_SECONDS", 0.0)
    async with upstreams("1a") as up:
        table = await routed(plane, {ONE: 100}, {ONE: [up["1a"]]})
        routes = plane.keeper.folder / "routes.json"
        changed = json.loads(routes.read_text())
        (route,) = (one for one in changed["resources"][0]["virtual_hosts"][0]["routes"] if grpc.is_route(one))
        route["route"]["timeout"] = "1s"
        routes.with_suffix(".edited").write_text(json.dumps(changed))
        routes.with_suffix(".edited").replace(routes)
        repaired = (await plane.gateway.apply(table)).repaired
        assert "route for gRPC" in repaired[ENDPOINT]
        assert routes.read_text() != json.dumps(changed)


@pytest.mark.parametrize("how", ["weights", "nonsense", "gone", "an older copy"])
async def test_what_somebody_changes_in_the_files_is_put_right_and_told_once(
    plane: Plane, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "weights":
        monkeypatch.setattr(envoy, "_AGAIN_SECONDS", 0.0)
    async with upstreams("1a", "2a") as up:
        clusters = {ONE: [up["1a"]], TWO: [up["2a"]]}
        await routed(plane, {ONE: 50, TWO: 50}, clusters)
        routes = plane.keeper.folder / "routes.json"
        older = routes.read_text()
        table = await routed(plane, {ONE: 100}, clusters)
        changed = json.loads(routes.read_text())
        (route,) = (one for one in changed["resources"][0]["virtual_hosts"][0]["routes"] if is_http(one))
        (weight,) = route["route"]["weighted_clusters"]["clusters"]
        weight["name"] = TWO
        texts = {"weights": json.dumps(changed), "nonsense": "{", "an older copy": older}
        beside = routes.with_suffix(".edited")
        if how == "gone":
            routes.unlink()
        else:
            beside.write_text(texts[how])
            beside.replace(routes)
        if how == "weights":
            await eventually(lambda: _answers(plane, "2a"))

        async def put_right() -> Mapping[str, str]:
            return (await plane.gateway.apply(table)).repaired

        repaired = await eventually(put_right, seconds=10.0)
        assert set(repaired) == {ENDPOINT}
        words = {
            "weights": f"weights {TWO} 100 instead of {ONE} 100",
            "nonsense": "could not be read",
            "gone": "were gone",
            "an older copy": f"weights {ONE} 50 {TWO} 50 instead of {ONE} 100",
        }
        assert words[how] in repaired[ENDPOINT]
        await eventually(lambda: _answers(plane, "1a"))
        for _ in range(3):
            assert (await plane.gateway.apply(table)).repaired == {}
        monkeypatch.setattr(envoy, "_AGAIN_SECONDS", 0.0)
        assert (await plane.gateway.apply(table)).repaired == {}


async def _answers(plane: Plane, name: str) -> bool:
    return {(await asked(plane))[1] for _ in range(5)} == {name}


async def test_replicas_and_clusters_that_somebody_changes_are_put_right(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy, "_AGAIN_SECONDS", 0.0)
    async with upstreams("1a", "2a") as up:
        table = await routed(plane, {ONE: 100}, {ONE: [up["1a"]], TWO: [up["2a"]]})
        path = plane.keeper.folder / "clusters.json"
        edited = json.loads(path.read_text())
        one, two = edited["resources"]
        (replica,) = one["load_assignment"]["endpoints"][0]["lb_endpoints"]
        replica["endpoint"]["address"]["socket_address"]["port_value"] = 9
        two["lb_policy"] = "RANDOM"
        path.write_text(json.dumps(edited))

        async def put_right() -> Mapping[str, str]:
            return (await plane.gateway.apply(table)).repaired

        words = (await eventually(put_right, seconds=10.0))[ENDPOINT]
        assert f"replicas of {ONE} were changed" in words
        assert f"settings of {TWO} were changed" in words
        assert str(up["1a"].port) in path.read_text()


async def test_a_service_that_starts_anew_notices_what_was_changed_meanwhile(plane: Plane) -> None:
    async with upstreams("1a") as up:
        table = await routed(plane, {ONE: 100}, {ONE: [up["1a"]]})
        again = Gateway(Files(plane.keeper.folder), plane.keeper.admin)
        assert (await again.apply(table)).repaired == {}
        path = plane.keeper.folder / "clusters.json"
        path.write_text(path.read_text().replace("ROUND_ROBIN", "RANDOM"))
        other = Gateway(Files(plane.keeper.folder), plane.keeper.admin)
        assert ONE in (await other.apply(table)).repaired[ENDPOINT]
        assert (await acall(plane.keeper.listen, PATH, {}))[0] == 200
