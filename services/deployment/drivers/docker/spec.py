"""What the engine is told of one replica. Pure: the same workload always makes the same container."""

import hashlib
import json
from typing import Any

from services.deployment.drivers.docker.image import ARTIFACT, recipe_of
from services.deployment.drivers.docker.names import (
    DIGEST,
    ENDPOINT,
    INSTALLATION,
    REPLICA,
    REVISION,
    SPEC,
    VERSION,
    replica_name,
    tag_of,
)
from services.deployment.drivers.docker.options import Installation, Options
from services.deployment.drivers.port import Workload
from services.deployment.inference.order import Column, Order, to_json

REST, GRPC = "8080/tcp", "8081/tcp"
STOP_SECONDS = 15
_SECRETS = "/run/secrets/modelog"
_SCRATCH = "/tmp"  # noqa: S108 - Of the container, and of nobody else.
_PIDS = 256
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
# For `docker ps` and whoever looks there; we ask by the protocol ourselves, and oftener.
_READY = (
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=2); "
    "c.request('GET', '/v2/health/ready'); raise SystemExit(c.getresponse().status != 200)"
)
_SECOND_NS = 1_000_000_000
_HEALTH = {
    "Test": ["CMD", "python", "-S", "-c", _READY],
    "Interval": 30 * _SECOND_NS,
    "Timeout": 5 * _SECOND_NS,
    "StartPeriod": 60 * _SECOND_NS,
    "Retries": 3,
}


def specs_of(workload: Workload, options: Options, installation: Installation) -> dict[str, dict[str, Any]]:
    """The bodies of `POST /containers/create` by replica."""
    names = [replica_name(installation.name, workload.key, index) for index in range(workload.replicas)]
    return {name: _spec(name, workload, options, installation) for name in names}


def _spec(name: str, workload: Workload, options: Options, installation: Installation) -> dict[str, Any]:
    labels = {
        INSTALLATION: installation.name,
        ENDPOINT: workload.key.endpoint,
        VERSION: workload.key.version,
        DIGEST: workload.sha256,
        REVISION: str(workload.revision),
        REPLICA: name,
    }
    body = {
        "Image": tag_of(installation.name, workload.key, recipe_of(workload, options.image)),
        "Cmd": [to_json(_order(name, workload, options, installation))],
        "User": installation.user,
        "ExposedPorts": {REST: {}, GRPC: {}},
        "Healthcheck": _HEALTH,
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_SECONDS,
        "Labels": labels,
        "HostConfig": _host(options, installation),
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    labels[SPEC] = digest
    return body


def _host(options: Options, installation: Installation) -> dict[str, Any]:
    memory = options.memory_mib << 20
    # Any free port, and another one after each start: two engines, or somebody else, may have taken the last one.
    free = [{"HostIp": installation.publish, "HostPort": ""}]
    given = (installation.nats_password_file, "nats-password"), (installation.nats_ca_file, "nats-ca")
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": options.millicores * 1_000_000,
        "PidsLimit": _PIDS,
        "ReadonlyRootfs": True,
        "Tmpfs": {_SCRATCH: "rw,noexec,nosuid,size=16m"},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        # The engine starts again what ends by itself, slower each time, and what was there when it went down itself.
        "RestartPolicy": {"Name": "unless-stopped"},
        "NetworkMode": options.network,
        "PortBindings": {REST: free, GRPC: free},
        "LogConfig": _LOG,
        "Binds": [f"{source}:{_SECRETS}/{name}:ro" for source, name in given if source],
    }


def _order(name: str, workload: Workload, options: Options, installation: Installation) -> Order:
    """Memory and cores are the engine's to hold it to."""
    return Order(
        replica=name,
        endpoint=workload.key.endpoint,
        version=workload.key.version,
        artifact=ARTIFACT,
        sha256=workload.sha256,
        answer_file="",
        format=workload.format,
        inputs=tuple(Column(*one) for one in workload.inputs),
        outputs=tuple(Column(*one) for one in workload.outputs),
        host="0.0.0.0",  # noqa: S104 - Of the container, which publishes it where the installation says.
        port=int(REST.partition("/")[0]),
        threads=options.threads,
        nats_url=installation.nats_url,
        nats_user=installation.nats_user,
        nats_password_file=f"{_SECRETS}/nats-password" if installation.nats_password_file else "",
        nats_ca_file=f"{_SECRETS}/nats-ca" if installation.nats_ca_file else "",
        grpc_port=int(GRPC.partition("/")[0]),
    )
