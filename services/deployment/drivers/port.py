"""What a driver must be able to do. Everything may be repeated, and continued by another process after a crash."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Key(NamedTuple):
    """What replicas belong to: one version on one endpoint."""

    endpoint: str
    version: str


@dataclass(frozen=True)
class Workload:
    """Replicas of one version on one endpoint that shall run. inputs and outputs: (name, datatype of the protocol)."""

    key: Key
    replicas: int
    uri: str
    sha256: str
    format: str
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


class State(enum.Enum):
    """What a replica is seen to be."""

    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    REFUSED = "refused"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Replica:
    """One replica as observed. address: `host:port` once it listens. run: another text each time it is started.

    problem says what is wrong. REFUSED is final: the artifact or the model cannot be served, whoever tries;
    `artifact` tells which of the two.
    """

    id: str
    key: Key
    state: State
    address: str = ""
    problem: str = ""
    artifact: bool = False
    run: str = ""


class Change(NamedTuple):
    """One thing a driver would do: verb is `start`, `replace` or `stop`."""

    verb: str
    replica: str


class Driver(Protocol):
    """One way to run replicas. Calls return at once; what came of them is seen by the next `observe`."""

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        """What `apply` and `remove` would change, changing nothing."""

    async def apply(self, workload: Workload) -> None:
        """Starts what is missing, starts again what is down (slower each time), replaces what runs differently."""

    async def observe(self) -> Sequence[Replica]:
        """Every replica there is, whoever started it."""

    async def drain(self, key: Key) -> None:
        """Asks the replicas to end once they have answered what they are answering."""

    async def remove(self, key: Key) -> None:
        """Drains, ends what has not ended in time, and forgets what has ended."""

    async def close(self) -> None:
        """Ends every replica and waits for it; for a service that ends and shall leave nothing behind."""
