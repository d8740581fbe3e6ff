"""What a replica is told to do: one JSON file, written by the driver before the process starts."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Exit statuses of what serves a version, by which whoever started it knows that starting it again is of no use.
ARTIFACT_REFUSED, MODEL_REFUSED = 3, 4
# Starting it again is of use: it leaked, or somebody else had its port.
OUTGROWN, PORT_TAKEN = 5, 6


class ArtifactRefused(Exception):
    """The artifact is missing, is not the approved one, or is of a format that is not served."""


@dataclass(frozen=True)
class Column:
    """One column of the version's signature. datatype: as in the protocol, for example FP32, INT64 or BYTES."""

    name: str
    datatype: str = "FP32"


@dataclass(frozen=True)
class Order:
    """Everything a replica needs. It may hold the password of a NATS user, so the file is readable by its owner only.

    sha256: digest the artifact must have, lower-case hex. inputs and outputs: the signature; empty means as the model
    itself names them. answer_file: where the replica writes its address once it listens. lease_file is touched by
    whoever keeps the replica; a replica whose lease stands still for lease_seconds ends itself, so none is orphaned.
    port 0 is any free one; so is grpc_port 0, and below it speaks HTTP only. memory_mib: address space it may use;
    cpus: cores it may run on; resident_mib: memory in use beyond which it drains and ends, to be started again; 0 is
    no limit. batch_rows: most rows of requests that run together; batch_delay_ms: how long requests that queue wait
    for more. telemetry_percent: share of the requests that are published. counts: tell whoever asks for it what was
    counted.
    """

    replica: str
    endpoint: str
    version: str
    artifact: str
    sha256: str
    answer_file: str
    format: str = "onnx"
    inputs: tuple[Column, ...] = field(default=())
    outputs: tuple[Column, ...] = field(default=())
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = -1
    threads: int = 1
    memory_mib: int = 0
    cpus: int = 0
    resident_mib: int = 0
    batch_rows: int = 0
    batch_delay_ms: float = 0.0
    telemetry_percent: float = 100.0
    counts: bool = False
    nats_url: str = ""
    nats_user: str = ""
    nats_password_file: str = ""
    nats_ca_file: str = ""
    lease_file: str = ""
    lease_seconds: float = 30.0

    @property
    def model_name(self) -> str:
        """`fraud` of projects/risk/models/fraud/versions/3."""
        return self.version.split("/")[3]

    @property
    def model_version(self) -> str:
        return self.version.rpartition("/")[2]

    @property
    def telemetry_subject(self) -> str:
        _, project, _, endpoint = self.endpoint.split("/")
        return f"telemetry.predictions.{project}.{endpoint}"


def to_json(order: Order) -> str:
    return json.dumps(asdict(order), sort_keys=True)


def read(path: Path) -> Order:
    """The order in a file; TypeError or ValueError when it is none."""
    return from_json(path.read_text())


def from_json(text: str) -> Order:
    values = json.loads(text)
    for name in ("inputs", "outputs"):
        values[name] = tuple(Column(**column) for column in values.get(name, ()))
    return Order(**values)
