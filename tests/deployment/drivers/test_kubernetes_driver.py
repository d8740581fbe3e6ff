"""What only a cluster can do to a driver: revisions that are gone, refusals, autoscalers, other people's objects."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.deployment.drivers.kubernetes import connected
from services.deployment.drivers.kubernetes.kinds import DEPLOYMENT
from services.deployment.drivers.kubernetes.mirror import Mirror
from services.deployment.drivers.kubernetes.names import Manifest, name_of
from services.deployment.drivers.kubernetes.pods import problem_of
from services.deployment.drivers.port import PlatformAway, State
from services.deployment.gateway.config import Route, Table, cluster_of
from testkit.kube.controllers import SERVICE, Failure
from testkit.kube.store import Status
from tests.deployment.calls import eventually
from tests.deployment.conftest import ENDPOINT
from tests.deployment.drivers.stand import INSTALLATION, SETTINGS, KubernetesStand, gone, kubernetes_stand, ready, seen


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[KubernetesStand]:
    async with kubernetes_stand(tmp_path) as made:
        yield made


def lists(stand: KubernetesStand) -> int:
    """How often somebody asked for all deployments, without watching."""
    world = stand.driver._world
    return world._mirrors["Deployment", "models"].lists


async def test_watches_bring_what_happens_and_nothing_is_listed_twice(stand: KubernetesStand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    for number in range(5):
        stand.api.edit("deployments", name_of(workload.key), {"metadata": {"annotations": {"n": str(number)}}})
        await asyncio.sleep(0.05)
    assert lists(stand) == 1


async def test_a_dropped_watch_goes_on_where_it_was(stand: KubernetesStand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.api.drop_watches()
    stand.disturb(workload.key)  # While nobody listens.

    async def noticed() -> bool:
        return bool(await stand.driver.plan([workload]))

    await eventually(noticed)
    assert lists(stand) == 1


async def test_a_revision_that_is_gone_means_listing_anew(stand: KubernetesStand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.api.away = True
    stand.api.drop_watches()
    stand.disturb(workload.key)
    stand.api.store.compact()
    stand.api.away = False

    async def noticed() -> bool:
        return bool(await stand.driver.plan([workload]))

    await eventually(noticed)
    assert lists(stand) == 2


async def test_bookmarks_move_a_quiet_watch_on(stand: KubernetesStand) -> None:
    """Other kinds change all the time; without bookmarks the revision of a quiet one would soon be forgotten."""
    await ready(stand, stand.workload(1))
    theirs = {"metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 80}]}}
    stand.api.store.create(SERVICE, "models", theirs, "helm")
    await asyncio.sleep(stand.api.bookmark_seconds * 3)
    stand.api.store.compact()
    stand.api.drop_watches()
    await asyncio.sleep(1)
    assert lists(stand) == 1


class Late:
    """An API whose list was made before a write of ours, and whose watch then brings what was before it, too."""

    def __init__(self) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def list(self, *_about: object) -> tuple[list[Manifest], str]:
        self.asked.set()
        await self.answer.wait()
        return [], "5"

    async def watch(self, *_about: object) -> AsyncIterator[tuple[str, Manifest]]:
        yield "ADDED", deployment(6, "older")
        yield "DELETED", deployment(6, "older")
        await asyncio.Event().wait()


def deployment(revision: int, says: str) -> Manifest:
    return {"metadata": {"name": "a", "uid": "u", "resourceVersion": str(revision)}, "says": says}


async def test_what_comes_late_never_replaces_what_is_newer() -> None:
    api = Late()
    mirror = Mirror(api, DEPLOYMENT, "models", "")  # type: ignore[arg-type]
    running = asyncio.create_task(mirror.run())
    try:
        await api.asked.wait()
        mirror.put(deployment(7, "ours"))
        api.answer.set()
        await mirror.ready(5)
        await asyncio.sleep(0.05)
        assert mirror.objects["a"]["says"] == "ours"
        mirror.drop(deployment(8, "gone") | {"metadata": {"name": "a", "uid": "another", "resourceVersion": "8"}})
        assert "a" in mirror.objects
        mirror.drop(deployment(8, "gone"))
        assert mirror.objects == {}
    finally:
        running.cancel()


async def test_an_api_that_is_away_is_said_to_be_and_known_again_afterwards(stand: KubernetesStand) -> None:
    workload = stand.workload(1)
    await ready(stand, workload)
    stand.api.away = True
    with pytest.raises(PlatformAway):
        await stand.driver.apply(stand.workload(2))
    stand.api.away = False
    await ready(stand, stand.workload(2))


async def test_a_kind_that_a_cluster_does_not_have_is_no_trouble(tmp_path: Path) -> None:
    async with kubernetes_stand(tmp_path) as stand:
        stand.api._resources.pop(("/apis/serving.kserve.io/v1beta1", "inferenceservices"))
        await ready(stand, stand.workload(1))


async def test_what_the_cluster_refuses_is_shown_with_its_reason(stand: KubernetesStand) -> None:
    def quota(method: str, path: str) -> None:
        if method == "PATCH" and "/deployments/" in path:
            raise Status(403, "Forbidden", "exceeded quota: models, requested: pods=1")

    workload = stand.workload(1)
    stand.api.before = quota
    await stand.driver.apply(workload)
    (one,) = await seen(stand, workload.key)
    assert one.state is State.DOWN
    assert "exceeded quota" in one.problem
    stand.api.before = lambda _method, _path: None
    await ready(stand, workload)


def test_what_keeps_pods_says_why_it_makes_none() -> None:
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: models"}
    assert (
        problem_of({"status": {"conditions": [{"type": "Progressing", "status": "True"}, quota]}}) == quota["message"]
    )
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert problem_of({"status": {"conditions": [late]}}) == "ProgressDeadlineExceeded"
    assert problem_of({}) == ""


@pytest.mark.parametrize("content", [None, "{}", "not: [yaml", '{"current-context": "nowhere"}'])
async def test_without_a_way_to_the_cluster_it_counts_as_away(tmp_path: Path, content: str | None) -> None:
    """And the service lives on, for it may have other platforms."""
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    driver, _ = connected(INSTALLATION, kubeconfig)
    world = driver._world
    try:
        with pytest.raises(PlatformAway, match="does not say how to reach the cluster"):
            await world.api.list(DEPLOYMENT, "models", "")
    finally:
        await driver.close()


async def test_the_autoscaler_decides_the_number_and_goes_with_the_wish_for_it(stand: KubernetesStand) -> None:
    scaled, fixed = stand.workload(1), stand.workload(1)
    fixed = type(fixed)(**{**fixed.__dict__, "settings": {**fixed.settings, "replicas_max": "1"}})
    await ready(stand, scaled)
    stand.api.edit("deployments", name_of(scaled.key), {"spec": {"replicas": 3}}, manager="hpa")

    async def three() -> bool:
        return [one.state for one in await seen(stand, scaled.key)] == [State.READY] * 3

    await eventually(three)
    assert not await stand.driver.apply(scaled)
    changes = await stand.driver.apply(fixed)
    assert [(one.verb, one.what.split()[0]) for one in changes] == [("replace", "Deployment")]
    await ready(stand, fixed)
    assert stand.api.store.select("horizontalpodautoscalers") == []


async def test_objects_of_others_are_neither_seen_nor_touched(stand: KubernetesStand) -> None:
    theirs = {"metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 80}]}}
    stand.api.store.create(SERVICE, "models", theirs, "helm")
    workload = stand.workload(1)
    await ready(stand, workload)
    await gone(stand, workload.key)
    assert stand.left() == ["services theirs"]


async def test_pods_tell_what_is_wrong_with_them(stand: KubernetesStand) -> None:
    workload = stand.workload(1)
    stand.api.controllers.failing[name_of(workload.key)] = Failure(4, "ONNX Runtime cannot load the model")

    async def refused() -> bool:
        await stand.driver.apply(workload)
        return [one.state for one in await seen(stand, workload.key)] == [State.REFUSED]

    await eventually(refused)
    (one,) = await seen(stand, workload.key)
    assert (one.artifact, one.problem) == (False, "ONNX Runtime cannot load the model")


async def test_a_route_waits_for_ready_pods_and_for_the_gateway(stand: KubernetesStand) -> None:
    first, second = stand.workload(1), stand.workload(2)
    await ready(stand, first)
    await ready(stand, second)
    one, two = cluster_of(*first.key), cluster_of(*second.key)
    here = {one: ("10.0.0.1:8080",), two: ("10.0.0.2:8080",)}

    async def routed(table: Table) -> bool:
        return ENDPOINT in (await stand.routes.apply(table)).routed

    whole = Table({ENDPOINT: Route(ENDPOINT, {one: 100}, SETTINGS)}, here)
    await eventually(lambda: routed(whole))
    unready = Table({ENDPOINT: Route(ENDPOINT, {one: 50, two: 50}, SETTINGS)}, {**here, two: ()})
    applied = await stand.routes.apply(unready)
    assert ENDPOINT not in applied.routed
    (live,) = stand.api.store.select("httproutes")
    assert [backend["weight"] for backend in live["spec"]["rules"][0]["backendRefs"]] == [100]
    stand.api.controllers.gateway_accepts = False
    split = Table(unready.routes, here)
    assert not await routed(split)
    back = Table(whole.routes, {one: here[one]})
    applied = await stand.routes.apply(back)
    assert two in applied.clusters  # The Gateway may still send requests there.
    stand.api.controllers.gateway_accepts = True
    await eventually(lambda: routed(back))
    assert two not in (await stand.routes.apply(back)).clusters
    await stand.routes.apply(Table())
    assert stand.api.store.select("httproutes") == []
