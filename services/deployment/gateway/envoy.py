"""The gateway as the controller sees it: a wanted table in, what Envoy really does out."""

import asyncio
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.deployment.fetch import Unreachable, fetch
from services.deployment.gateway import drift, grpc
from services.deployment.gateway.config import Route, Table, address_of
from services.deployment.gateway.counts import COUNTERS, LATENCY, Counts, Reading, added
from services.deployment.gateway.files import Files

_ADMIN_SECONDS = 2.0
_AGAIN_SECONDS = 3.0
_ANEW_SECONDS = 60.0
# So many names, twice over for gRPC, make a line that Envoy takes.
_NAMES_AT_ONCE = 100
# What Envoy says of a replica that it sends nothing to.
_UNHEALTHY = frozenset({"failed_active_health_check", "failed_outlier_check", "pending_active_hc"})
_ROUTES_VERSION = "http.gateway.rds.endpoints.version_text"

# Replicas by cluster that get its requests, and whether each of them is healthy.
Used = Mapping[str, Mapping[str, bool]]


@dataclass(frozen=True)
class Applied:
    """What came of a table.

    routed: endpoints whose wanted route is in use. clusters: those that still exist. repaired: what somebody else had
    changed and was put right, in words, by endpoint. behind: clusters whose requests may still go to others than the
    table's replicas.
    """

    routed: frozenset[str] = frozenset()
    clusters: frozenset[str] = frozenset()
    repaired: Mapping[str, str] = field(default_factory=dict)
    behind: frozenset[str] = frozenset()


class Gateway:
    """Writes Envoy's files in the order that loses no request: clusters with their replicas, routes, then removals.

    A route waits until every cluster it names has a healthy replica; a cluster goes when no route names it and its
    last request has been answered. Envoy makes a changed cluster anew beside the old one, asks each of its replicas
    whether it is ready, and only then lets go of the old one. `apply` never waits: it does what can be done now, and is
    called again.
    """

    def __init__(self, files: Files, admin: str) -> None:
        self._files = files
        self._admin = admin
        self._before = (Table(), Applied(), 0.0)
        self._reading = Reading()
        # An older answer that is read after a newer one would look like one that began anew.
        self._one_reading = asyncio.Lock()
        self._marks: dict[Path, tuple[int, int]] = {}

    async def apply(self, table: Table) -> Applied:
        """Brings Envoy as near to the table as it can be brought now. Only the files change while Envoy is away.

        A table that is in use already is looked at again only after some seconds, and made anew only where somebody
        has touched the files: so rest costs little, and what was changed by hand is put right all the same.
        """
        before, applied, at = self._before
        reached = applied.routed == frozenset(table.routes) and applied.clusters == frozenset(table.clusters)
        if reached and not applied.behind and before == table:
            since_applied = time.monotonic() - at
            if since_applied < _AGAIN_SECONDS or (since_applied < _ANEW_SECONDS and self._marks == self._files.marks()):
                return applied
        applied = await self._apply(table)
        # What was put right is told once.
        self._before, self._marks = (table, replace(applied, repaired={}), time.monotonic()), self._files.marks()
        return applied

    async def _apply(self, table: Table) -> Applied:
        self._files.look()
        before = self._files.routes()
        try:
            used = await self._used()
        except Unreachable:
            used = None
        replicas = {**(self._files.clusters() or _addresses(used)), **table.clusters}
        policies = {endpoint: route.policy for endpoint, route in table.routes.items()}
        self._files.write_clusters(replicas, policies)
        if used is None:
            known = frozenset(replicas)
            return Applied(clusters=known, repaired=self._repaired(table), behind=known)
        behind = frozenset(name for name, wanted in table.clusters.items() if set(used.get(name, {})) != set(wanted))
        routes = {
            endpoint: route if _healthy(route, used, table) else before.get(endpoint, Route(endpoint))
            for endpoint, route in table.routes.items()
        }
        version = self._files.write_routes(routes)
        repaired = self._repaired(table)
        if await self._routes_version() != version:
            return Applied(clusters=frozenset(replicas), repaired=repaired, behind=behind)
        named = {name for route in routes.values() for name in grpc.with_beside(route.clusters)}
        idle = await self._idle(replicas.keys() - table.clusters.keys() - named)
        if idle:
            self._files.write_clusters({name: replicas[name] for name in replicas.keys() - idle}, policies)
        routed = frozenset(endpoint for endpoint, route in table.routes.items() if routes[endpoint] == route)
        return Applied(routed, frozenset(replicas.keys() - idle), repaired, behind)

    def _repaired(self, table: Table) -> dict[str, str]:
        return drift.told(self._files.foreign(), table.routes)

    def routes(self) -> Mapping[str, Route]:
        """The routes as written, for telling drift."""
        return self._files.routes()

    async def counts(self, cluster: str) -> Counts:
        """What Envoy counted for a cluster and the one for gRPC beside it; zeros when it knows neither.

        Raises Unreachable.
        """
        return (await self.counts_of([cluster]))[cluster]

    async def counts_of(self, clusters: Iterable[str]) -> dict[str, Counts]:
        """What Envoy counted for these clusters and those beside them, read at once. Raises Unreachable."""
        names = sorted(set(clusters))
        found: dict[str, Counts] = {}
        for first in range(0, len(names), _NAMES_AT_ONCE):
            found |= await self._counts(names[first : first + _NAMES_AT_ONCE])
        return {name: added(found.get(name, Counts()), found.get(grpc.beside(name), Counts())) for name in names}

    async def _counts(self, names: Iterable[str]) -> dict[str, Counts]:
        every = grpc.with_beside(names)
        counted = "|".join(re.escape(one) for one in (*COUNTERS, LATENCY))
        asked = "|".join(re.escape(name) for name in sorted(every))
        async with self._one_reading:
            stats = await self._stats(f"^cluster\\.({asked})\\.({counted})$", "&histogram_buckets=cumulative")
            stats += await self._stats(f"^cluster\\.({asked})\\.grpc\\..*ModelInfer\\.[0-9]+$")
            return self._reading.read(stats, every)

    async def _used(self) -> Used:
        """Replicas that Envoy sends requests to. Its gauges would not tell, for two clusters of one name share them."""
        path = "/clusters?format=json"
        clusters = json.loads(await self._ask(path)).get("cluster_statuses", ())
        return {
            one["name"]: {
                address_of(each["address"]): _UNHEALTHY.isdisjoint(each["health_status"])
                for each in one.get("host_statuses", ())
            }
            for one in clusters
        }

    async def _idle(self, clusters: Collection[str]) -> set[str]:
        """Those of these that have answered their last request."""
        if not clusters:
            return set()
        try:
            stats = await self._stats(r"^cluster\.[^.]*\.upstream_rq_active$")
        except Unreachable:
            return set()
        return set(clusters) - {one["name"].split(".")[1] for one in stats if int(one["value"])}

    async def _routes_version(self) -> str:
        try:
            stats = await self._stats(f"^{re.escape(_ROUTES_VERSION)}$")
        except Unreachable:
            return ""
        return str(stats[0]["value"]) if stats else ""

    async def _stats(self, pattern: str, more: str = "") -> list[dict[str, Any]]:
        escaped = pattern.replace("\\", "%5C").replace("^", "%5E").replace("+", "%2B").replace("|", "%7C")
        stats: list[dict[str, Any]] = json.loads(await self._ask(f"/stats?format=json&filter={escaped}{more}"))["stats"]
        return stats

    async def _ask(self, path: str) -> bytes:
        status, body = await fetch(self._admin, path, timeout=_ADMIN_SECONDS)
        if status != 200:
            raise Unreachable(f"Envoy's interface answered {status}")
        return body


def _healthy(route: Route, used: Used, table: Table) -> bool:
    """Whether every cluster has a healthy replica that stays; one for gRPC only where there are some that speak it."""
    wanted = table.clusters
    beside = {name for name in grpc.with_beside(route.clusters) if wanted.get(name)}
    return all(
        any(used.get(name, {}).get(address) for address in wanted.get(name, ())) for name in {*route.clusters, *beside}
    )


def _addresses(used: Used | None) -> dict[str, tuple[str, ...]]:
    return {name: tuple(replicas) for name, replicas in (used or {}).items()}
