"""NetworkPolicy: the Gateway's namespace asks the pods and ours counts with them; they ask names, store and log."""

from typing import Any
from urllib.parse import urlsplit

from services.deployment.drivers.kubernetes.manifests.meta import metadata, selecting
from services.deployment.drivers.kubernetes.manifests.pod import PORT
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload

_DNS = 53
_NATS = 4222
_PORTS = {"http": 80, "https": 443}


def network_policy(workload: Workload, options: Options, installation: Installation) -> Manifest:
    """Where the store and the log are is known by name only, so they are allowed by their ports."""
    gateway, _ = options.gateway
    asking = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        for namespace in sorted({gateway, installation.service_namespace})
    ]
    names = [{"protocol": "UDP", "port": _DNS}, {"protocol": "TCP", "port": _DNS}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(workload, options, installation),
        "spec": {
            "podSelector": {"matchLabels": selecting(workload)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": asking, "ports": [{"protocol": "TCP", "port": PORT}]}],
            "egress": [{"ports": [*names, *_outside(options, installation)]}],
        },
    }


def _outside(options: Options, installation: Installation) -> list[dict[str, Any]]:
    ports = set()
    store = urlsplit(options.artifacts)
    if store.scheme in _PORTS:
        ports.add(store.port or _PORTS[store.scheme])
    if installation.nats_url:
        ports.add(urlsplit(installation.nats_url).port or _NATS)
    return [{"protocol": "TCP", "port": port} for port in sorted(ports)]
