"""What one turn of the controller sees of each endpoint, and the table of the gateway that follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE, Endpoint, Environment, Rollout
from services.deployment.domain.conduct import Scene, Seen
from services.deployment.domain.quota import Room, room_of
from services.deployment.domain.states import is_unfinished
from services.deployment.domain.targets import mirrored
from services.deployment.drivers.port import Replica, State, Workload
from services.deployment.gateway import grpc
from services.deployment.gateway.config import Route, Table, cluster_of
from services.deployment.gateway.envoy import Applied


@dataclass
class Sight:
    """One endpoint in one turn.

    wanted: replicas by version. counts: how many there are but for what is stopping; where fewer are wanted, those
    with the last names go. ready: addresses of a version's replicas that may get requests.
    """

    endpoint: Endpoint
    environment: Environment
    rollout: Rollout
    scene: Scene
    wanted: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    ready: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ready_rpc: dict[str, tuple[str, ...]] = field(default_factory=dict)
    workloads: list[Workload] = field(default_factory=list)
    # Its part of the gateway's table, made once: a sight lives as long as nothing changes that it was made from.
    table: Table | None = None
    # It was asked for, and something of its environment does not let it start.
    waits: bool = False

    @property
    def active(self) -> bool:
        return bool(self.endpoint.state == ENDPOINT_STATE_ACTIVE)

    def surplus(self, version: str) -> int:
        """How many replicas more than are wanted there are; below 0 where some are missing."""
        count = self.counts.get(version, 0)
        return count - self.wanted.get(version, count)

    @property
    def settled(self) -> bool:
        """Nothing is under way: everything wanted is ready and nothing else is there."""
        ready = all(self.scene.of(version).ready >= count for version, count in self.wanted.items())
        return (
            self.active
            and (self.waits or not is_unfinished(self.rollout.state))
            and ready
            and set(self.scene.seen) <= set(self.wanted)
        )


def seen_of(replicas: Iterable[Replica], version: str) -> Seen:
    mine = [replica for replica in replicas if replica.key.version == version]
    refused = [replica for replica in mine if replica.state is State.REFUSED]
    problems = [replica.problem for replica in mine if replica.problem]
    return Seen(
        ready=sum(replica.state is State.READY for replica in mine),
        present=len(mine),
        problem=problems[0] if problems else "",
        refused=bool(refused),
        artifact=any(replica.artifact for replica in refused),
        restarts=max((replica.restarts for replica in mine), default=0),
    )


def room_beside(sight: Sight, sights: Iterable[Sight]) -> Room:
    """What the other endpoints of its environment take; nobody asks where there is no quota."""
    room = Room()
    if sight.environment.HasField("quota"):
        for one in sights:
            if one.environment.name == sight.environment.name and one is not sight:
                room = room.plus(room_of(one.endpoint, one.rollout, one.environment))
    return room


def sort(sight: Sight, replicas: Iterable[Replica]) -> None:
    """Counts the replicas of an endpoint by version, and finds those that may get requests."""
    by_version: dict[str, list[Replica]] = {}
    for replica in sorted(replicas, key=lambda one: (len(one.id), one.id)):
        if replica.state is not State.STOPPING:
            by_version.setdefault(replica.key.version, []).append(replica)
    for version, found in by_version.items():
        sight.counts[version] = len(found)
        staying = found[: len(found) - max(sight.surplus(version), 0)]
        ready = [one for one in staying if one.state is State.READY]
        if ready:
            sight.ready[version] = tuple(one.address for one in ready)
        if rpc := tuple(one.grpc_address for one in ready if one.grpc_address):
            sight.ready_rpc[version] = rpc


def is_routed(sight: Sight, applied: Mapping[str, Applied]) -> bool:
    """Whether its requests go as they shall, and to nobody else."""
    done = applied.get(sight.environment.driver)
    return done is not None and sight.endpoint.name in done.routed and not done.behind


def table_of(sights: Iterable[Sight]) -> Table:
    routes: dict[str, Route] = {}
    clusters: dict[str, tuple[str, ...]] = {}
    for sight in sights:
        if sight.table is None:
            sight.table = _table(sight)
        routes |= sight.table.routes
        clusters |= sight.table.clusters
    return Table(routes, clusters)


def _table(sight: Sight) -> Table:
    """The part of one endpoint."""
    name = sight.endpoint.name
    if not sight.active:
        return Table()
    weights = {cluster_of(name, share.version): share.percent for share in sight.endpoint.traffic}
    mirrors = {
        cluster_of(name, version): percent
        for version, percent in mirrored(sight.rollout).items()
        if version in sight.ready
    }
    settings, policy = dict(sight.environment.driver_settings), sight.endpoint.traffic_policy
    clusters = {}
    for version in sight.wanted:
        cluster = cluster_of(name, version)
        if version in sight.ready or cluster in weights:
            clusters[cluster] = sight.ready.get(version, ())
            clusters[grpc.beside(cluster)] = sight.ready_rpc.get(version, ())
    return Table({name: Route(name, weights, settings, mirrors=mirrors, policy=policy)}, clusters)


def joined(tables: Iterable[Table]) -> Table:
    """Endpoints are of one driver, so nothing is in two tables."""
    whole = Table({}, {})
    for one in tables:
        whole = Table({**whole.routes, **one.routes}, {**whole.clusters, **one.clusters})
    return whole


def clusters_of(endpoint_name: str) -> str:
    _, project, _, id_ = endpoint_name.split("/")
    return f"{project}_{id_}_"
