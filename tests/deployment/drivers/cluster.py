"""A deployment service over a cluster of the test kit, and what may never happen in that cluster."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelog.deployment.v1.types_pb2 import Endpoint
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.kube.controllers import ready
from testkit.kube.store import Event
from testkit.kube_api import KubeApi
from tests.deployment.calls import eventually
from tests.deployment.drivers.stand import INSTALLATION, SETTINGS
from tests.deployment.town import Town, town


@dataclass
class Watchman:
    """Looks at every change of the cluster: requests may only be sent to versions that answer."""

    api: KubeApi
    broken: list[str] = field(default_factory=list)
    splits: list[dict[str, int]] = field(default_factory=list)
    seen: int = 0

    def set(self) -> None:
        """Called by the store with each change."""
        for event in self.api.store.events:
            if event.revision > self.seen and event.resource.plural == "httproutes" and event.after:
                self._route(event, event.after)
            self.seen = max(self.seen, event.revision)

    def _route(self, event: Event, route: dict[str, Any]) -> None:
        weights = {}
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", ()):
                name = backend["name"].removesuffix("-predictor")
                pods = self.api.store.select("pods", event.namespace, f"modelog/workload={name}")
                weights[name] = backend["weight"]
                if self.api.store.objects.get(("services", event.namespace, backend["name"])) is None:
                    self.broken.append(f"{event.revision}: {name} has no service")
                if not any(ready(pod) for pod in pods):
                    self.broken.append(f"{event.revision}: {name} has no ready pod")
        if not self.splits or self.splits[-1] != weights:
            self.splits.append(weights)

    @property
    def percents(self) -> list[list[int]]:
        return [sorted(split.values()) for split in self.splits]


@dataclass
class Cluster:
    api: KubeApi
    town: Town
    watchman: Watchman

    def names(self, plural: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.api.store.select(plural)]

    def weights(self) -> dict[str, int]:
        """What the route says now, by the number of the version."""
        (route,) = self.api.store.select("httproutes")
        noted: dict[str, int] = json.loads(route["metadata"]["annotations"]["modelog/weights"])
        backends = route["spec"]["rules"][0].get("backendRefs", [])
        assert sorted(one["weight"] for one in backends) == sorted(noted.values())
        return {cluster.rpartition("_")[2]: weight for cluster, weight in noted.items()}

    async def repaired(self, text: str) -> Endpoint:
        async def recorded() -> Endpoint | None:
            state = await self.town.endpoint()
            return state if text in state.last_repair else None

        found: Endpoint = await eventually(recorded, seconds=10)
        return found

    def writes(self, token: str) -> int:
        return sum(1 for by, method, _ in self.api.requests if by == token and method in ("PATCH", "DELETE"))


def kubernetes_settings(api: KubeApi, folder: Path, token: str = "first") -> dict[str, Any]:
    return {
        "kubernetes_namespaces": ",".join(INSTALLATION.namespaces),
        "kubernetes_images": ",".join(INSTALLATION.images),
        "kubernetes_kubeconfig": str(api.kubeconfig(folder / f"kubeconfig-{token}", token)),
        "gateway_keep": False,
    }


@asynccontextmanager
async def watched_api() -> AsyncIterator[tuple[KubeApi, Watchman]]:
    async with KubeApi() as api:
        watchman = Watchman(api)
        api.store.listeners.append(watchman)
        yield api, watchman


@asynccontextmanager
async def cluster(
    nats: NatsServer,
    postgres: PostgresServer,
    folder: Path,
    schema: str,
    *,
    form: str = "deployment",
    **settings: Any,
) -> AsyncIterator[Cluster]:
    """The service with an environment on the cluster and an endpoint in it. Nothing may break in all that time."""
    async with watched_api() as (api, watchman):
        async with town(nats, postgres, folder, schema, **kubernetes_settings(api, folder), **settings) as made:
            await made.found(driver="kubernetes", driver_settings={**SETTINGS, "form": form})
            yield Cluster(api, made, watchman)
        assert watchman.broken == []
