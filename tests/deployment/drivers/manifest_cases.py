"""Manifests of every shape that the builders make, for those who hold them against the published schemas.

python -m tests.deployment.drivers.manifest_cases      prints them as one JSON list
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from services.deployment.drivers.kubernetes.manifests import http_route, objects_of
from services.deployment.drivers.kubernetes.options import Installation, options_of
from services.deployment.drivers.port import Key, Workload
from services.deployment.gateway.config import Route, cluster_of

SHA = "ab" * 32
ENDPOINT = "projects/risk/endpoints/fraud-eu"
VERSION = "projects/risk/models/fraud/versions/3"
PLAIN = {"gateway": "infra/public", "url": "https://models.example.com", "artifacts": "pvc://artifacts/store"}
FULL = {
    **PLAIN,
    "namespace": "models-eu",
    "artifacts": "https://store.example.com:8443/artifacts",
    "url": "http://10.0.0.9:8080",
    "gateway": "public",
    "replicas_min": "2",
    "replicas_max": "5",
    "cpu_request": "500m",
    "cpu_limit": "2",
    "memory_request": "512Mi",
    "memory_limit": "2Gi",
    "pull_secret": "registry",
    "threads": "2",
}
QUIET = Installation(namespaces=("models",), images=("registry.example/modelog-deployment:1.0",))
TALKING = Installation(
    name="blue",
    namespaces=("models-eu",),
    images=("registry.example/modelog-deployment@sha256:" + SHA,),
    nats_url="tls://nats.modelog:4222",
    nats_user="inference",
    nats_secret="inference",
)
INPUTS = (("age", "FP32"), ("country", "BYTES"))


def workload(settings: dict[str, str], *, endpoint: str = ENDPOINT, version: str = VERSION) -> Workload:
    return Workload(Key(endpoint, version), 1, f"cas:sha256/{SHA}", SHA, "onnx", INPUTS, settings=settings, revision=42)


def cases() -> Iterator[list[dict[str, Any]]]:
    """Everything of one version and its endpoint, for each way an environment may ask for it."""
    long = {
        "endpoint": f"projects/{'p' * 63}/endpoints/{'e' * 63}",
        "version": f"projects/{'p' * 63}/models/{'9' * 63}/versions/123456",
    }
    for settings, installation in ((PLAIN, QUIET), (FULL, TALKING)):
        for form in ("deployment", "kserve"):
            for named in ({}, long):
                wanted = {**settings, "form": form}
                given = workload(wanted, **named)
                options = options_of(wanted, installation)
                built = objects_of(given, options, installation)
                cluster = cluster_of(*given.key)
                for weights in ({}, {cluster: 100}, {cluster: 30, cluster + "1": 70}):
                    built.append(http_route(Route(given.key.endpoint, weights), options, installation))
                yield built


if __name__ == "__main__":
    sys.stdout.write(json.dumps([manifest for case in cases() for manifest in case]))
