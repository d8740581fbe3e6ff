"""What an environment's driver stands for: what runs replicas there, and what brings requests to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from services.deployment.drivers.port import Driver
from services.deployment.gateway.config import Table, cluster_of
from services.deployment.gateway.counts import Counts
from services.deployment.gateway.envoy import Applied


class Traffic(Protocol):
    """Brings requests to replicas. PlatformAway when whoever does it does not answer."""

    async def apply(self, table: Table) -> Applied:
        """Comes as near to the table as is possible now, losing no request; called again and again."""

    async def counts_of(self, clusters: Iterable[str]) -> Mapping[str, Counts]:
        """What was counted of clusters' requests so far, by name, with few questions. Raises fetch.Unreachable."""


async def counts_of_versions(traffic: Traffic, endpoint: str, versions: Iterable[str]) -> dict[str, Counts]:
    """What was counted so far of an endpoint's versions, by version. Raises as Traffic does."""
    clusters = {version: cluster_of(endpoint, version) for version in versions}
    counts = await traffic.counts_of(clusters.values())
    return {version: counts[cluster] for version, cluster in clusters.items()}


class Keeper(Protocol):
    """Keeps what brings the requests running."""

    async def ensure(self) -> None:
        """Starts it unless it runs."""


class Address(Protocol):
    def __call__(self, endpoint: str, settings: Mapping[str, str]) -> str:
        """Where an endpoint answers in an environment with these settings of the driver."""


@dataclass(frozen=True)
class Platform:
    """Platforms may share their traffic. keeper: None where somebody else keeps it."""

    driver: Driver
    traffic: Traffic
    address_of: Address
    keeper: Keeper | None = None
