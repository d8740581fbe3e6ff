"""Shares of traffic as HTTPRoutes of the Gateway API."""

import json
from collections.abc import Iterable, Mapping

from kernel.logs import structlog
from services.deployment.drivers.kubernetes.errors import Refused
from services.deployment.drivers.kubernetes.kinds import HTTP_ROUTE, POD
from services.deployment.drivers.kubernetes.manifests import http_route
from services.deployment.drivers.kubernetes.names import (
    ENDPOINT_NAME,
    WEIGHTS,
    Manifest,
    key_of,
    name_of,
    workload_name,
)
from services.deployment.drivers.kubernetes.options import options_of
from services.deployment.drivers.kubernetes.pods import replica_of
from services.deployment.drivers.kubernetes.tallies import Tallies
from services.deployment.drivers.kubernetes.world import World
from services.deployment.drivers.port import Change, State
from services.deployment.gateway.config import Route, Table
from services.deployment.gateway.counts import Counts
from services.deployment.gateway.envoy import Applied

_log = structlog.get_logger()


class Routes:
    """One HTTPRoute an endpoint. A new split waits until every version it names has a ready pod."""

    def __init__(self, world: World) -> None:
        self._world = world
        # What a route named before the Gateway has heard of the change.
        self._leaving: dict[str, set[str]] = {}
        self._tallies: dict[str, Tallies] = {}
        self._built: dict[str, tuple[Route, Manifest]] = {}

    async def apply(self, table: Table) -> Applied:
        await self._world.look()
        routed, repaired = set(), {}
        for endpoint, route in table.routes.items():
            manifest = self._manifest(route)
            before = _clusters(self._world.get(manifest))
            try:
                changes = await self._set(manifest, route, table)
            except Refused as refused:
                _log.error("route_refused", endpoint=endpoint, error=str(refused))
                continue
            for change in changes:
                self._leaving.setdefault(endpoint, set()).update(before)
                if what := _healed(change, route):
                    repaired[endpoint] = what
            if self._world.change(manifest) is None and _accepted(self._world.get(manifest)):
                routed.add(endpoint)
                self._leaving.pop(endpoint, None)
        await self._clear(table)
        clusters = set(table.clusters).union(*self._leaving.values())
        for _, live in self._world.all(HTTP_ROUTE):
            clusters |= _clusters(live)
        for cluster in self._tallies.keys() - clusters:
            del self._tallies[cluster]
        return Applied(frozenset(routed), frozenset(clusters), repaired)

    def _manifest(self, route: Route) -> Manifest:
        """As built the last time, where nothing has changed."""
        before = self._built.get(route.endpoint)
        if before is not None and (before[0], before[0].settings) == (route, route.settings):
            return before[1]
        installation = self._world.installation
        manifest = http_route(route, options_of(route.settings, installation), installation)
        self._built[route.endpoint] = route, manifest
        return manifest

    async def _set(self, manifest: Manifest, route: Route, table: Table) -> tuple[Change, ...]:
        change = self._world.change(manifest)
        healthy = all(table.clusters.get(cluster) for cluster in route.weights)
        if change is None or (change.verb == "replace" and not healthy):
            return ()
        return await self._world.ensure(manifest)

    async def _clear(self, table: Table) -> None:
        """Takes away the routes of endpoints that are no more."""
        for kind, live in list(self._world.all(HTTP_ROUTE)):
            endpoint = (live["metadata"].get("annotations") or {}).get(ENDPOINT_NAME, "")
            if endpoint and endpoint not in table.routes and not live["metadata"].get("deletionTimestamp"):
                await self._world.delete(kind, live)
        for known in (self._leaving, self._built):
            for endpoint in known.keys() - table.routes.keys():
                del known[endpoint]

    async def counts(self, cluster: str) -> Counts:
        """As the pods themselves count, for the Gateway API says nothing of requests."""
        await self._world.look()
        name = workload_name(cluster)
        pods = {}
        for _, pod in self._world.all(POD):
            key = key_of(pod["metadata"])
            if key is not None and name_of(key) == name:
                replica = replica_of(pod, key, kept=True)
                if replica.state is State.READY:
                    pods[pod["metadata"]["uid"]] = replica.address
        return await self._tallies.setdefault(cluster, Tallies()).ask(pods)

    async def counts_of(self, clusters: Iterable[str]) -> dict[str, Counts]:
        return {cluster: await self.counts(cluster) for cluster in clusters}


def _healed(change: Change, route: Route) -> str:
    """In words, when somebody else had changed the route or taken it away; a route with traffic had been there."""
    if change.verb == "repair":
        return f"{change.what} was changed ({change.difference}) and is put right"
    if change.verb == "start" and route.weights:
        return f"{change.what} was gone and is made again"
    return ""


def _clusters(live: Manifest | None) -> set[str]:
    """The clusters that a route names."""
    noted: Mapping[str, str] = (live or {}).get("metadata", {}).get("annotations") or {}
    return set(json.loads(noted.get(WEIGHTS, "{}")))


def _accepted(live: Manifest | None) -> bool:
    """Whether the Gateway says that it uses the route as it is now."""
    if live is None:
        return False
    generation = live["metadata"].get("generation")
    for parent in (live.get("status") or {}).get("parents") or ():
        for condition in parent.get("conditions") or ():
            if condition["type"] == "Accepted" and condition.get("observedGeneration") == generation:
                return bool(condition["status"] == "True")
    return False
