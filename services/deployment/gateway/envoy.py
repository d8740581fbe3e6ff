"""The gateway as the controller sees it: a wanted table in, what Envoy really does out."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.deployment.fetch import Unreachable, fetch
from services.deployment.gateway import drift, grpc
from services.deployment.gateway.config import Route, Table
from services.deployment.gateway.files import Files

_ADMIN_SECONDS = 2.0
_AGAIN_SECONDS = 3.0
_ANEW_SECONDS = 60.0
# So many names, twice over for gRPC, make a line that Envoy takes.
_NAMES_AT_ONCE = 100
_COUNTERS = {
    "upstream_rq_completed": "requests",
    "upstream_rq_5xx": "errors",
    "upstream_rq_4xx": "client_errors",
    "upstream_rq_timeout": "timeouts",
    "upstream_rq_per_try_timeout": "timeouts",
    "upstream_rq_retry": "retries",
    "outlier_detection.ejections_enforced_total": "ejections",
}
_LATENCY = "upstream_rq_time"
_ROUTES_VERSION = "http.gateway.rds.endpoints.version_text"


@dataclass(frozen=True)
class Counts:
    """What Envoy has counted for one cluster since it started.

    requests: answered ones, also those that the cluster got as a mirror; errors: of these, 5xx or no answer at all;
    client_errors: of these, 4xx. latency: (upper bound in ms, requests at or below it), cumulative over the bounds of
    the histogram; slower ones than the last bound only show in requests. timeouts: requests, or tries of one, that
    took too long; retries: what was sent again; ejections: how often a replica was left alone for its errors.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[tuple[float, int], ...] = ()
    client_errors: int = 0
    timeouts: int = 0
    retries: int = 0
    ejections: int = 0


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
        self._marks: dict[str, tuple[int, int]] = {}

    async def apply(self, table: Table) -> Applied:
        """Brings Envoy as near to the table as it can be brought now. Only the files change while Envoy is away.

        A table that is in use already is looked at again only after some seconds, and made anew only where somebody
        has touched the files: so rest costs little, and what was changed by hand is put right all the same.
        """
        before, applied, at = self._before
        settled = applied.routed == frozenset(table.routes) and applied.clusters == frozenset(table.clusters)
        if settled and before == table:
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
        for name, addresses in table.clusters.items():
            self._files.write_replicas(name, addresses)
        known = set(self._files.clusters()) | set(table.clusters)
        policies = {endpoint: route.policy for endpoint, route in table.routes.items()}
        self._files.write_clusters(known, policies)
        try:
            seen = await self._gauges()
        except Unreachable:
            return Applied(clusters=frozenset(known), repaired=self._repaired(table))
        routes = {
            endpoint: route if _healthy(route, seen, table) else before.get(endpoint, Route(endpoint))
            for endpoint, route in table.routes.items()
        }
        version = self._files.write_routes(routes)
        repaired = self._repaired(table)
        if await self._routes_version() != version:
            return Applied(clusters=frozenset(known), repaired=repaired)
        used = {name for route in routes.values() for name in grpc.with_beside(route.clusters)}
        idle = {name for name in known if name not in table.clusters and name not in used and not _busy(name, seen)}
        if idle:
            self._files.write_clusters(known - idle, policies)
            for name in idle:
                self._files.remove_replicas(name)
        routed = frozenset(endpoint for endpoint, route in table.routes.items() if routes[endpoint] == route)
        return Applied(routed, frozenset(known - idle), repaired)

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
        counted = "|".join(re.escape(one) for one in (*_COUNTERS, _LATENCY))
        asked = "|".join(re.escape(name) for name in sorted(grpc.with_beside(names)))
        found = _counted(await self._stats(f"^cluster\\.({asked})\\.({counted})$", "&histogram_buckets=cumulative"))
        statuses: dict[str, dict[str, int]] = {}
        for one in await self._stats(f"^cluster\\.({asked})\\.grpc\\..*ModelInfer\\.[0-9]+$"):
            statuses.setdefault(one["name"].split(".")[1], {})[one["name"]] = int(one["value"])
        for name in found.keys() & {grpc.beside(name) for name in names}:  # Errors of gRPC have status 200 of HTTP.
            found[name] = replace(found[name], errors=grpc.errors(statuses.get(name, {})))
        return found

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


def _counted(stats: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """Counts by cluster, of Envoy's statistics as it answers them."""
    sums: dict[str, Counter[str]] = {}
    latencies: dict[str, tuple[tuple[float, int], ...]] = {}
    for one in stats:
        if "name" in one:
            _, cluster, counter = one["name"].split(".", 2)
            sums.setdefault(cluster, Counter())[_COUNTERS[counter]] += int(one["value"])
        for histogram in one.get("histograms", ()):
            buckets = ((float(each["upper_bound"]), int(each["cumulative"])) for each in histogram["buckets"])
            latencies[histogram["name"].split(".")[1]] = tuple(buckets)
    return {name: Counts(**counted, latency=latencies.get(name, ())) for name, counted in sums.items()}


def _healthy(route: Route, seen: Mapping[str, Mapping[str, int]], table: Table) -> bool:
    """Whether every cluster has a healthy replica; one for gRPC only where there are replicas that speak it."""
    beside = {name for name in grpc.with_beside(route.clusters) if table.clusters.get(name)}
    return all(seen.get(name, {}).get("membership_healthy", 0) > 0 for name in {*route.clusters, *beside})


def _busy(name: str, seen: Mapping[str, Mapping[str, int]]) -> bool:
    return seen.get(name, {}).get("upstream_rq_active", 0) > 0


def added(one: Counts, other: Counts) -> Counts:
    """Both together, bucket by bucket; a side that has no histogram yet has no requests."""
    known = dict(one.latency)
    latency = tuple((bound, count + known.get(bound, 0)) for bound, count in other.latency) or one.latency
    counted = {name: getattr(one, name) + getattr(other, name) for name in set(_COUNTERS.values())}
    return Counts(**counted, latency=latency)


def since(now: Counts, before: Counts) -> Counts:
    """What was counted between two readings. Envoy that started anew in between counts from nothing."""
    earlier = dict(before.latency)
    shrunk = any(count < earlier.get(bound, 0) for bound, count in now.latency)
    if now.requests < before.requests or now.errors < before.errors or shrunk:
        return now
    latency = tuple((bound, count - earlier.get(bound, 0)) for bound, count in now.latency)
    counted = {name: max(getattr(now, name) - getattr(before, name), 0) for name in set(_COUNTERS.values())}
    return Counts(**counted, latency=latency)
