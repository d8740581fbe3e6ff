"""An endpoint as the platform shows it now, with what the gateway counted since the look before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from modelog.deployment.v1 import people_pb2 as people
from modelog.deployment.v1.types_pb2 import Endpoint
from services.deployment.domain.analysis import quantile
from services.deployment.drivers.port import PlatformAway, Replica, State
from services.deployment.fetch import Unreachable
from services.deployment.gateway.counts import Counts, since
from services.deployment.platforms import Platform, counts_of_versions

_STATES = {
    State.STARTING: people.REPLICA_STATE_STARTING,
    State.READY: people.REPLICA_STATE_READY,
    State.DOWN: people.REPLICA_STATE_DOWN,
    State.REFUSED: people.REPLICA_STATE_REFUSED,
    State.STOPPING: people.REPLICA_STATE_STOPPING,
}


@dataclass(frozen=True)
class Look:
    """One look: when, and what the gateway had counted by then for each version."""

    at: datetime
    counts: Mapping[str, Counts] = field(default_factory=dict)


async def look(
    endpoint: Endpoint, platform: Platform, before: Look | None, now: datetime
) -> tuple[people.EndpointStatus, Look]:
    """What is seen of an endpoint; with a look before, requests are those since then."""
    replicas, problems = await _replicas(endpoint.name, platform)
    shares = {share.version: share.percent for share in endpoint.traffic}
    versions = sorted({*shares, *(one.key.version for one in replicas)}, key=lambda one: (-shares.get(one, 0), one))
    counts: dict[str, Counts] = {}
    try:
        counts = await counts_of_versions(platform.traffic, endpoint.name, versions)
    except (Unreachable, PlatformAway) as away:
        problems.append(f"the gateway's counts: {away}")
    status = people.EndpointStatus(name=endpoint.name, problem="; ".join(problems))
    status.time.FromDatetime(now)
    seconds = (now - before.at).total_seconds() if before else 0.0
    if before:
        status.window.FromTimedelta(now - before.at)
    for version in versions:
        mine = [one for one in replicas if one.key.version == version]
        earlier = before.counts.get(version, Counts()) if before else Counts()
        told = _version(version, shares.get(version, 0), mine)
        _count(told, counts.get(version, Counts()), earlier, seconds)
        status.versions.append(told)
    return status, Look(now, counts)


async def _replicas(endpoint: str, platform: Platform) -> tuple[Sequence[Replica], list[str]]:
    try:
        return [one for one in await platform.driver.observe() if one.key.endpoint == endpoint], []
    except PlatformAway as away:
        return [], [f"the replicas: {away}"]


def _version(version: str, percent: int, replicas: Iterable[Replica]) -> people.VersionStatus:
    told = people.VersionStatus(version=version, percent=percent)
    for one in replicas:
        told.replicas.add(
            id=one.id,
            state=_STATES[one.state],
            problem=one.problem,
            restarts=one.restarts,
            memory_bytes=one.memory_bytes,
        )
        told.ready_replicas += one.state is State.READY
    return told


def _count(told: people.VersionStatus, counts: Counts, earlier: Counts, seconds: float) -> None:
    told.total_requests, told.total_errors = counts.requests, counts.errors
    seen = since(counts, earlier)
    told.requests, told.errors = seen.requests, seen.errors
    if seconds > 0:
        told.requests_per_second = seen.requests / seconds
    told.p50_ms, told.p99_ms = quantile(seen.latency, 0.5), quantile(seen.latency, 0.99)
