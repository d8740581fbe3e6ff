"""How much room an environment has, and how much of it endpoints take."""

from collections.abc import Mapping
from typing import NamedTuple

from kernel.errors import NotAllowedNow, invalid_field
from modelog.deployment.v1.types_pb2 import Endpoint, Environment, Rollout, Strategy
from services.deployment.domain.driver_settings import KUBERNETES_DEFAULTS, amount
from services.deployment.domain.states import is_unfinished
from services.deployment.domain.strategy import old_goes_first

_MIB = 1 << 20
_DEFAULTS: Mapping[str, Mapping[str, str]] = {"kubernetes": KUBERNETES_DEFAULTS}
# By how settings say it, the largest claim first.
_MEMORY, _CPU = ("memory_limit", "memory_request"), ("cpu_limit", "cpu_request")


class Room(NamedTuple):
    """What is taken, or asked for."""

    endpoints: int = 0
    replicas: int = 0

    def plus(self, other: "Room") -> "Room":
        return Room(self.endpoints + other.endpoints, self.replicas + other.replicas)


NONE = Room()


def room_of(endpoint: Endpoint, rollout: Rollout, environment: Environment) -> Room:
    """What an endpoint takes now. `rollout`: its newest, empty when it has none; an unfinished one keeps its room."""
    if not is_unfinished(rollout.state):
        return _room(endpoint, environment, {share.version for share in endpoint.traffic})
    before = {share.version for share in rollout.previous_traffic}
    return room_for(endpoint, rollout.version, rollout.strategy, environment, before)


def room_for(
    endpoint: Endpoint, version: str, strategy: Strategy, environment: Environment, before: set[str] | None = None
) -> Room:
    """What an endpoint takes while a version takes over, at most. before: those that served when it was asked for."""
    serving = {share.version for share in endpoint.traffic} | (before or set())
    return _room(endpoint, environment, serving if old_goes_first(strategy) else serving | {version})


def first_room(replicas: int, environment: Environment) -> Room:
    """What a new endpoint takes."""
    return Room(1, max(replicas, 1, _most_scaled(environment)))


def _room(endpoint: Endpoint, environment: Environment, versions: set[str]) -> Room:
    return Room(1, max(endpoint.replicas, 1, _most_scaled(environment)) * max(len(versions), 1))


def _most_scaled(environment: Environment) -> int:
    """To how many replicas an autoscaler may go."""
    return int(environment.driver_settings.get("replicas_max", "0"))


def check_room(environment: Environment, others: Room, mine: Room) -> None:
    """Refuses what the quota has no room for. others: what all other endpoints take; mine: what is asked for here."""
    if not environment.HasField("quota"):
        return
    quota, wanted = environment.quota, others.plus(mine)
    memory, cpu = _each(environment)
    for word, limit, amounts, unit in (
        ("endpoints", quota.most_endpoints, wanted.endpoints, ""),
        ("replicas", quota.most_replicas, wanted.replicas, ""),
        ("memory", quota.most_memory_mib, wanted.replicas * memory, " MiB"),
        ("cpu", quota.most_cpu_millis, wanted.replicas * cpu, " thousandths of a core"),
    ):
        if limit and amounts > limit:
            raise NotAllowedNow(
                "QUOTA_EXCEEDED",
                f"{environment.name} has room for {limit}{unit or f' {word}'}{f' of {word}' if unit else ''}, and this "
                f"would make it {amounts}{unit}; remove what is not needed, roll out with `recreate`, which needs no "
                "room beside the old version, or have the quota raised",
                metadata={"quota": word, "limit": str(limit), "wanted": str(amounts)},
            )


def check_quota(environment: Environment) -> None:
    """Refuses a quota for what the settings do not limit for each replica: it would be compared with nothing."""
    memory, cpu = _each(environment)
    missing = []
    if environment.quota.most_memory_mib and not memory:
        missing.append(f"memory ({'memory_limit' if environment.driver == 'kubernetes' else 'memory_mib'})")
    if environment.quota.most_cpu_millis and not cpu:
        missing.append("cpu (cpus)")
    if missing:
        raise invalid_field(
            "quota", f"say in the driver's settings what each replica gets: {', '.join(missing)}", "MISSING_SETTING"
        )


def _each(environment: Environment) -> tuple[int, int]:
    """(MiB, thousandths of a core) of a replica, by the settings; 0 where they say nothing."""
    settings = {**_DEFAULTS.get(environment.driver, {}), **environment.driver_settings}
    memory = next((amount(settings[name]) // _MIB for name in _MEMORY if name in settings), 0)
    cpu = next((amount(settings[name]) for name in _CPU if name in settings), 0)
    return memory or int(settings.get("memory_mib", "0")), cpu or (
        amount(settings["cpus"]) if "cpus" in settings else 0
    )
