"""The pod: an init container brings the artifact and checks its digest, and the inference server checks it again."""

import json
import re
from dataclasses import MISSING, fields
from typing import Any
from urllib.parse import urlsplit

from services.deployment.drivers.kubernetes.names import annotations, name_of, workload_labels
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload
from services.deployment.inference.order import Column, Order, to_json

PORT = 8080
# The user of the images that deploy/Dockerfile builds.
_USER = 10001
_STORE, _MODEL, _NATS, _TMP = "/store", "/model", "/run/nats", "/tmp"  # noqa: S108 - A volume of the pod's own.
# Until every gateway has heard that the pod goes, it still answers; then it has this long to answer what it has begun.
_LEAVE_SECONDS = 5
_GRACE_SECONDS = 30
_START_SECONDS = 120
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadArtifact(Exception):
    """No pod is made for what could never be the approved artifact; the text says what to do."""


def pod(
    workload: Workload, options: Options, installation: Installation, *, container: str = "model"
) -> dict[str, Any]:
    """A pod template: metadata and spec."""
    return {
        "metadata": {
            "labels": workload_labels(installation, workload.key, workload.sha256),
            "annotations": annotations(workload.key, workload.sha256),
        },
        "spec": pod_spec(workload, options, installation, container=container),
    }


def pod_spec(workload: Workload, options: Options, installation: Installation, *, container: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _LEAVE_SECONDS + _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_artifact(workload, options)],
        "containers": [_model(workload, options, installation, container)],
        "volumes": _volumes(options, installation),
    }
    if options.pull_secret:
        spec["imagePullSecrets"] = [{"name": options.pull_secret}]
    return spec


def source_of(workload: Workload, options: Options) -> str:
    """Where a pod finds the artifact: a path below its volume, or a URL. Only content-addressed ones are brought."""
    if not _SHA256.fullmatch(workload.sha256):
        raise BadArtifact(f"{workload.sha256!r} is not a SHA-256 digest")
    if workload.uri != f"cas:sha256/{workload.sha256}":
        raise BadArtifact(
            f"{workload.uri} does not name the approved digest: put the file into the store "
            f"and name it cas:sha256/{workload.sha256}"
        )
    root = options.artifacts
    if root.startswith("pvc://"):
        root = _STORE + urlsplit(root).path
    return f"{root}/sha256/{workload.sha256}"


def _artifact(workload: Workload, options: Options) -> dict[str, Any]:
    mounts = [{"name": "model", "mountPath": _MODEL}]
    if options.artifacts.startswith("pvc://"):
        mounts.append({"name": "store", "mountPath": _STORE, "readOnly": True})  # type: ignore[dict-item]
    command = ["python", "-m", "services.deployment.inference.bring"]
    return {
        "name": "artifact",
        "image": options.image,
        "command": [*command, source_of(workload, options), workload.sha256, f"{_MODEL}/artifact"],
        "securityContext": _locked(),
        "resources": _resources(options),
        # Its last words become the status, by which the driver tells a wrong artifact from a bad day.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _model(workload: Workload, options: Options, installation: Installation, name: str) -> dict[str, Any]:
    mounts = [
        {"name": "model", "mountPath": _MODEL, "readOnly": True},
        {"name": "tmp", "mountPath": _TMP},
    ]
    if installation.nats_url and installation.nats_secret:
        mounts.append({"name": "nats", "mountPath": _NATS, "readOnly": True})
    order = _text(_order(workload, options, installation))
    return {
        "name": name,
        "image": options.image,
        "command": ["python", "-m", "services.deployment.inference", order],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        **_variables(workload, options, installation),
        "securityContext": _locked(),
        "resources": _resources(options),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**_probe("ready"), "periodSeconds": 1, "failureThreshold": _START_SECONDS},
        "readinessProbe": {**_probe("ready"), "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**_probe("live"), "periodSeconds": 10, "failureThreshold": 3},
        "lifecycle": {"preStop": {"exec": {"command": ["python", "-c", f"import time; time.sleep({_LEAVE_SECONDS})"]}}},
        "volumeMounts": mounts,
    }


def _variables(workload: Workload, options: Options, installation: Installation) -> dict[str, Any]:
    """Secrets by reference: the cluster puts their values in, and nobody else sees them."""
    ours = {installation.nats_secret, options.pull_secret} - {""}
    if taken := next((one for one in workload.secrets if one.place in ours), None):
        raise BadArtifact(f"secret {taken.variable}: {taken.place} is the installation's own; name another Secret")
    found = [
        {"name": one.variable, "valueFrom": {"secretKeyRef": {"name": one.place, "key": one.key}}}
        for one in workload.secrets
        if one.source == "kubernetes_secret"
    ]
    return {"env": found} if found else {}


def _text(order: Order) -> str:
    """Only what is said: a field that a later version adds must not start every pod anew, nor meet an older image."""
    silent = {one.name: one.default for one in fields(Order) if one.default is not MISSING}
    said = {name: value for name, value in json.loads(to_json(order)).items() if value != silent.get(name, MISSING)}
    return json.dumps(said, separators=(",", ":"))


def _order(workload: Workload, options: Options, installation: Installation) -> Order:
    secret = installation.nats_secret if installation.nats_url else ""
    return Order(
        replica=name_of(workload.key),
        endpoint=workload.key.endpoint,
        version=workload.key.version,
        artifact=f"{_MODEL}/artifact",
        sha256=workload.sha256,
        answer_file="",
        format=workload.format,
        inputs=tuple(Column(*one) for one in workload.inputs),
        outputs=tuple(Column(*one) for one in workload.outputs),
        host="0.0.0.0",  # noqa: S104 - Of the pod; the NetworkPolicy says who gets there.
        port=PORT,
        threads=options.threads,
        counts=True,
        nats_url=installation.nats_url,
        nats_user=installation.nats_user if secret else "",
        nats_password_file=f"{_NATS}/password" if secret else "",
        nats_ca_file=f"{_NATS}/ca.crt" if installation.nats_url.startswith("tls://") and secret else "",
    )


def _probe(what: str) -> dict[str, Any]:
    """By the Open Inference Protocol V2."""
    return {"httpGet": {"path": f"/v2/health/{what}", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 2}


def _locked() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _resources(options: Options) -> dict[str, Any]:
    limits = {"cpu": options.cpu_limit, "memory": options.memory_limit}
    return {
        "requests": {"cpu": options.cpu_request, "memory": options.memory_request},
        "limits": {name: amount for name, amount in limits.items() if amount},
    }


def _volumes(options: Options, installation: Installation) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if options.artifacts.startswith("pvc://"):
        claim = urlsplit(options.artifacts).netloc
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    if installation.nats_url and installation.nats_secret:
        volumes.append({"name": "nats", "secret": {"secretName": installation.nats_secret, "defaultMode": 0o440}})
    return volumes
