"""What a driver must be able to do. Everything may be repeated, and continued by another process after a crash."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Key(NamedTuple):
    """What replicas belong to: one version on one endpoint."""

    endpoint: str
    version: str


class PlatformAway(Exception):
    """The platform cannot be asked or told now: what runs there is not known, and goes on as it is."""


class Secret(NamedTuple):
    """One variable of a replica's environment, by where its value is kept; the value itself is nowhere here.

    source: `file` (a name in the folder for secrets), `environment_variable` (of this service) or `kubernetes_secret`
    (then `key` is the key within the Secret `place`).
    """

    variable: str
    source: str
    place: str
    key: str = ""


@dataclass(frozen=True)
class Workload:
    """Replicas of one version on one endpoint that shall run. inputs and outputs: (name, datatype of the protocol).

    settings: the driver's, of the environment. revision: the version's, to be found on what runs it. secrets: what
    replicas find in their environment variables; a driver resolves them when it starts one, and writes them nowhere.
    """

    key: Key
    replicas: int
    uri: str
    sha256: str
    format: str
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    secrets: tuple[Secret, ...] = ()


class State(enum.Enum):
    """What a replica is seen to be."""

    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    REFUSED = "refused"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Replica:
    """One replica as observed. address: `host:port` once it listens; grpc_address: where it speaks gRPC, empty when it

    does not. run: another text each time it is started.

    problem says what is wrong. REFUSED is final: the artifact or the model cannot be served, whoever tries;
    `artifact` tells which of the two. restarts: how often it has ended by itself since it was last steady.
    memory_bytes: what it holds, 0 where nobody tells.
    """

    id: str
    key: Key
    state: State
    address: str = ""
    problem: str = ""
    artifact: bool = False
    run: str = ""
    restarts: int = 0
    grpc_address: str = ""
    memory_bytes: int = field(default=0, compare=False)


class Change(NamedTuple):
    """One thing a driver would do, or did.

    verb: `start` what is not there, `replace` what shall be otherwise, `repair` what somebody else has changed, `stop`.
    what: the replica or object by the platform's name. difference: in words, where there is more to say.
    """

    verb: str
    what: str
    difference: str = ""


class Driver(Protocol):
    """One way to run replicas.

    Calls return at once; what came of them is seen by the next `observe`. Names follow from the key, so what a process
    before this one has begun is found and gone on with. PlatformAway when the platform does not answer.
    """

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        """What `apply` and `remove` would change, changing nothing."""

    async def apply(self, workload: Workload) -> Sequence[Change]:
        """Starts what is missing, starts again what is down (slower each time), replaces what runs differently.

        Returns what it changed of what stays, as far as nobody sees it by the replicas.
        """

    async def observe(self) -> Sequence[Replica]:
        """Every replica there is, whoever started it; remains of a key that has none show as one that is down."""

    async def drain(self, key: Key) -> None:
        """Asks the replicas to end once they have answered what they are answering."""

    async def remove(self, key: Key) -> None:
        """Drains, ends what has not ended in time, and forgets what has ended."""

    async def logs(self, key: Key) -> Mapping[str, str]:
        """The end of what each replica printed, at most LOG_BYTES each, by id."""

    async def close(self) -> None:
        """Lets go of the platform, as whoever stops acting does; what runs there goes on."""


LOG_BYTES = 64 * 1024
