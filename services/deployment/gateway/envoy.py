"""The gateway as the controller sees it: a wanted table in, what Envoy really does out."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.deployment.fetch import Unreachable, fetch
from services.deployment.gateway.config import Route, Table
from services.deployment.gateway.files import Files

_ADMIN_SECONDS = 2.0
_AGAIN_SECONDS = 3.0
_ROUTES_VERSION = "http.gateway.rds.endpoints.version_text"


@dataclass(frozen=True)
class Counts:
    """What Envoy has counted for one cluster since it started.

    requests: answered ones; errors: of these, 5xx or no answer at all. latency: (upper bound in ms, requests at or
    below it), cumulative over the bounds of the histogram; slower ones than the last bound only show in requests.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class Applied:
    """What came of a table.

    routed: endpoints whose wanted route is in use. clusters: those that still exist. repaired: what somebody else had
    changed and was put right, in words, by endpoint.
    """

    routed: frozenset[str] = frozenset()
    clusters: frozenset[str] = frozenset()
    repaired: Mapping[str, str] = field(default_factory=dict)


class Gateway:
    """Writes Envoy's files in the order that loses no request: replicas, clusters, routes, and only then removals.

    A route waits until every cluster it names has a healthy replica; a cluster goes when no route names it and its
    last request has been answered. `apply` never waits: it does what can be done now, and is called again.
    """

    def __init__(self, files: Files, admin: str) -> None:
        self._files = files
        self._admin = admin
        self._before = (Table(), Applied(), 0.0)

    async def apply(self, table: Table) -> Applied:
        """Brings Envoy as near to the table as it can be brought now. Only the files change while Envoy is away.

        A table that is in use already is looked at again only after some seconds, so that rest costs nothing and
        files which somebody changed by hand are put right all the same.
        """
        before, applied, at = self._before
        settled = applied.routed == frozenset(table.routes) and applied.clusters == frozenset(table.clusters)
        if not (settled and before == table and time.monotonic() < at + _AGAIN_SECONDS):
            applied = await self._apply(table)
            self._before = (table, applied, time.monotonic())
        return applied

    async def _apply(self, table: Table) -> Applied:
        before = self._files.routes()
        for name, addresses in table.clusters.items():
            self._files.write_replicas(name, addresses)
        known = set(self._files.clusters()) | set(table.clusters)
        self._files.write_clusters(tuple(known))
        try:
            seen = await self._gauges()
        except Unreachable:
            return Applied(clusters=frozenset(known))
        routes = {
            endpoint: route if _healthy(route, seen) else before.get(endpoint, Route(endpoint))
            for endpoint, route in table.routes.items()
        }
        version = self._files.write_routes(routes)
        if await self._routes_version() != version:
            return Applied(clusters=frozenset(known))
        used = {name for route in routes.values() for name in route.weights}
        idle = {name for name in known if name not in table.clusters and name not in used and not _busy(name, seen)}
        if idle:
            self._files.write_clusters(tuple(known - idle))
            for name in idle:
                self._files.remove_replicas(name)
        routed = frozenset(endpoint for endpoint, route in table.routes.items() if routes[endpoint] == route)
        return Applied(routed, frozenset(known - idle))

    def routes(self) -> Mapping[str, Route]:
        """The routes as written, for telling drift."""
        return self._files.routes()

    async def counts(self, cluster: str) -> Counts:
        """What Envoy counted for a cluster; zeros when it does not know it. Raises Unreachable."""
        name = re.escape(cluster)
        stats = await self._stats(
            f"^cluster\\.{name}\\.upstream_rq_(completed|5xx|time)$", "&histogram_buckets=cumulative"
        )
        values = {one["name"].rpartition(".")[2]: one.get("value", 0) for one in stats if "name" in one}
        latency: list[tuple[float, int]] = []
        for group in (one["histograms"] for one in stats if "histograms" in one):
            for histogram in group:
                latency = [(float(one["upper_bound"]), int(one["cumulative"])) for one in histogram["buckets"]]
        return Counts(
            int(values.get("upstream_rq_completed", 0)), int(values.get("upstream_rq_5xx", 0)), tuple(latency)
        )

    async def _gauges(self) -> dict[str, dict[str, int]]:
        """Healthy replicas and active requests by cluster, for the clusters Envoy knows."""
        seen: dict[str, dict[str, int]] = {}
        for one in await self._stats(r"^cluster\.[^.]*\.(membership_healthy|upstream_rq_active)$"):
            _, cluster, gauge = one["name"].split(".")
            seen.setdefault(cluster, {})[gauge] = int(one["value"])
        return seen

    async def _routes_version(self) -> str:
        try:
            stats = await self._stats(f"^{re.escape(_ROUTES_VERSION)}$")
        except Unreachable:
            return ""
        return str(stats[0]["value"]) if stats else ""

    async def _stats(self, pattern: str, more: str = "") -> list[dict[str, Any]]:
        escaped = pattern.replace("\\", "%5C").replace("^", "%5E").replace("+", "%2B").replace("|", "%7C")
        path = f"/stats?format=json&filter={escaped}{more}"
        status, body = await fetch(self._admin, path, timeout=_ADMIN_SECONDS)
        if status != 200:
            raise Unreachable(f"Envoy's interface answered {status}")
        stats: list[dict[str, Any]] = json.loads(body)["stats"]
        return stats


def _healthy(route: Route, seen: Mapping[str, Mapping[str, int]]) -> bool:
    return all(seen.get(name, {}).get("membership_healthy", 0) > 0 for name in route.weights)


def _busy(name: str, seen: Mapping[str, Mapping[str, int]]) -> bool:
    return seen.get(name, {}).get("upstream_rq_active", 0) > 0


def since(now: Counts, before: Counts) -> Counts:
    """What was counted between two readings. Envoy that started anew in between counts from nothing."""
    earlier = dict(before.latency)
    shrunk = any(count < earlier.get(bound, 0) for bound, count in now.latency)
    if now.requests < before.requests or now.errors < before.errors or shrunk:
        return now
    latency = tuple((bound, count - earlier.get(bound, 0)) for bound, count in now.latency)
    return Counts(now.requests - before.requests, max(now.errors - before.errors, 0), latency)
