"""The API server of the test kit, asked by a client that knows nothing of it: what a real one enforces, it enforces."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import CascadeType, PatchType

from testkit.kube.controllers import Failure
from testkit.kube.fields import Owners
from testkit.kube_api import KubeApi

Deployment: Any = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
Route: Any = create_namespaced_resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    async with KubeApi() as made:
        yield made


@pytest.fixture
async def client(api: KubeApi, tmp_path: Path) -> AsyncIterator[Any]:
    config = KubeConfig.from_file(api.kubeconfig(tmp_path / "kubeconfig"))
    async with AsyncClient(config=config, namespace="models", field_manager="me", trust_env=False) as made:
        yield made


def deployment(image: str = "a:1", **spec: Any) -> Any:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": image}]}}
    wanted = {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec}
    return Deployment(
        apiVersion="apps/v1", kind="Deployment", metadata={"name": "a", "labels": {"x": "y"}}, spec=wanted
    )


async def refused(answer: Any) -> int:
    with pytest.raises(ApiError) as caught:
        await answer
    return int(caught.value.status.code or 0)


async def test_names_exist_once_and_are_missed(client: Any) -> None:
    made = await client.create(deployment())
    assert made.metadata.generation == 1
    assert await refused(client.create(deployment())) == 409
    assert await refused(client.get(Deployment, "b")) == 404
    assert await refused(client.delete(Deployment, "b")) == 404


async def test_whoever_writes_what_has_changed_since_is_refused(client: Any) -> None:
    first = await client.create(deployment())
    again = await client.replace(deployment("a:2"))
    assert (again.metadata.generation, first.metadata.resourceVersion != again.metadata.resourceVersion) == (2, True)
    late = deployment("a:3")
    late["metadata"]["resourceVersion"] = first.metadata.resourceVersion
    assert await refused(client.replace(late)) == 409


async def test_applying_twice_is_applying_once(client: Any) -> None:
    first = await client.apply(deployment(replicas=2))
    second = await client.apply(deployment(replicas=2))
    assert second.metadata.generation == 1
    spec = second["spec"]
    assert spec["progressDeadlineSeconds"] == 600  # Filled in, and nobody's.
    owned = next(one for one in second["metadata"]["managedFields"] if one["manager"] == "me")
    assert "f:replicas" in owned["fieldsV1"]["f:spec"]
    assert "f:progressDeadlineSeconds" not in owned["fieldsV1"]["f:spec"]
    assert first.metadata.uid == second.metadata.uid


async def test_a_field_of_somebody_else_is_taken_by_force_only(client: Any) -> None:
    await client.apply(deployment(replicas=2))
    patch = {"spec": {"replicas": 5}, "metadata": {"annotations": {"theirs": "yes"}}}
    await client.patch(Deployment, "a", patch, patch_type=PatchType.MERGE, field_manager="edit")
    with pytest.raises(ApiError) as caught:
        await client.apply(deployment(replicas=2))
    assert caught.value.status.code == 409
    assert "edit" in str(caught.value.status.message)
    assert "f:replicas" in str(caught.value.status.message)
    forced = await client.apply(deployment(replicas=2), force=True)
    assert forced["spec"]["replicas"] == 2
    assert forced["metadata"]["annotations"] == {"theirs": "yes"}
    assert (await client.apply(deployment(replicas=2)))["spec"]["replicas"] == 2


async def test_what_is_not_applied_any_more_goes_unless_somebody_else_has_it(client: Any) -> None:
    await client.apply(deployment(replicas=3, minReadySeconds=5))
    await client.apply(Deployment(deployment(replicas=3)), field_manager="other")
    left = await client.apply(deployment())
    assert left["spec"]["replicas"] == 3
    assert "minReadySeconds" not in left["spec"]
    assert left.metadata.labels == {"x": "y"}


async def test_entries_of_a_list_have_owners_of_their_own() -> None:
    owners = Owners()
    live: dict[str, Any] = {"metadata": {"name": "a"}}
    pod = {"spec": {"containers": [{"name": "model", "image": "m:1"}]}}
    sidecar = {"spec": {"containers": [{"name": "mesh", "image": "p:1"}]}}
    live = owners.apply("me", live, pod, force=False)
    live = owners.apply("mesh", live, sidecar, force=False)
    assert [one["name"] for one in live["spec"]["containers"]] == ["model", "mesh"]
    live = owners.apply("mesh", live, {"spec": {"priority": 1}}, force=False)
    assert [one["name"] for one in live["spec"]["containers"]] == ["model"]
    assert live["spec"]["priority"] == 1


async def test_watches_go_on_where_they_were_until_it_is_forgotten(client: Any, api: KubeApi) -> None:
    made = await client.create(deployment(replicas=0))
    start = made.metadata.resourceVersion
    await client.apply(deployment(replicas=0), field_manager="other")
    heard = client.watch(Deployment, resource_version=start, server_timeout=1)
    verb, live = await anext(heard)
    assert (verb, live.metadata.name) == ("MODIFIED", "a")
    await heard.aclose()
    api.store.compact()
    forgotten = client.watch(Deployment, resource_version=start, server_timeout=1)
    assert await refused(anext(forgotten)) == 410


async def test_bookmarks_come_when_asked_for_and_the_watch_ends_in_time(client: Any, api: KubeApi) -> None:
    path = f"http://127.0.0.1:{api.port}/apis/apps/v1/namespaces/models/deployments"
    query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "1", "resourceVersion": "100"}
    async with httpx.AsyncClient(headers={"Authorization": "Bearer x"}) as raw:
        answer = await raw.get(path, params=query)
        assert '"BOOKMARK"' in answer.text
        assert (await raw.get(path, headers={"Authorization": ""})).status_code == 401


async def test_a_selector_sees_objects_come_and_go_with_their_labels(client: Any) -> None:
    made = await client.create(deployment(replicas=0))
    heard = client.watch(
        Deployment, labels={"x": "y"}, resource_version=made.metadata.resourceVersion, server_timeout=2
    )
    await client.patch(Deployment, "a", {"metadata": {"labels": {"x": "z"}}}, patch_type=PatchType.MERGE)
    assert (await anext(heard))[0] in ("MODIFIED", "DELETED")
    assert [one async for one in client.list(Deployment, labels={"x": "y"})] == []


async def test_status_is_a_subresource(client: Any, api: KubeApi) -> None:
    await client.create(deployment(replicas=0))
    await until(lambda: observed(api, 1))
    await client.patch(Deployment, "a", {"status": {"replicas": 99}}, patch_type=PatchType.MERGE)
    live = await client.get(Deployment, "a")
    assert live.status["replicas"] == 0
    assert live.metadata.generation == 1
    changed = await client.patch(Deployment, "a", {"spec": {"replicas": 1}}, patch_type=PatchType.MERGE)
    assert changed.metadata.generation == 2
    await until(lambda: observed(api, 2))


def observed(api: KubeApi, generation: int) -> bool:
    live = api.store.select("deployments")[0]
    return bool((live.get("status") or {}).get("observedGeneration") == generation)


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def phases(api: KubeApi) -> list[Any]:
    pods = api.store.select("pods")
    return [
        "gone" if one["metadata"].get("deletionTimestamp") else one.get("status", {}).get("phase", "") for one in pods
    ]


async def test_pods_run_fail_when_told_to_and_end_with_their_owner(client: Any, api: KubeApi) -> None:
    await client.create(deployment(replicas=2))
    await until(lambda: phases(api) == ["Running", "Running"])
    api.controllers.failing["a"] = Failure(exit_code=3, message="wrong digest", init=True)
    failing = deployment("a:2", replicas=1)
    failing["spec"]["template"]["spec"]["initContainers"] = [{"name": "i", "image": "a:2"}]
    await client.replace(failing)
    await until(lambda: "Pending" in phases(api))
    await client.delete(Deployment, "a", cascade=CascadeType.BACKGROUND)
    await until(lambda: not api.store.select("pods"))


async def test_orphans_stay(client: Any, api: KubeApi) -> None:
    await client.create(deployment(replicas=1))
    await until(lambda: phases(api) == ["Running"])
    await client.delete(Deployment, "a", cascade=CascadeType.ORPHAN)
    await asyncio.sleep(0.2)
    assert phases(api) == ["Running"]


async def test_routes_are_accepted_as_they_are_now(client: Any, api: KubeApi) -> None:
    wanted = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    await client.create(Route({**wanted, "spec": {"parentRefs": [{"name": "g"}], "rules": []}}))

    def accepted() -> bool:
        parents = (api.store.select("httproutes")[0].get("status") or {}).get("parents") or [{}]
        return bool(parents[0].get("conditions", [{}])[0].get("observedGeneration") == 1)

    await until(accepted)


async def test_away_means_503_and_an_unknown_kind_404(client: Any, api: KubeApi) -> None:
    unknown = create_namespaced_resource("x", "v1", "Thing", "things")
    with pytest.raises(ApiError):
        await client.get(unknown, "a")
    api.away = True
    assert await refused(client.get(Deployment, "a")) == 503


async def test_lists_have_pages(client: Any, api: KubeApi) -> None:
    for name in ("a", "b", "c"):
        one = deployment(replicas=0)
        one["metadata"]["name"] = name
        await client.create(one)
    listed = client.list(Deployment, chunk_size=2)
    assert [one.metadata.name async for one in listed] == ["a", "b", "c"]
    gets = [path for _, method, path in api.requests if method == "GET" and path.endswith("/deployments")]
    assert len(gets) == 2
