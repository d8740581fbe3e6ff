"""Names and labels in a cluster. All of them follow from the resource, so whoever comes next finds what was begun."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from services.deployment.drivers.kubernetes.options import Installation
from services.deployment.drivers.port import Key
from services.deployment.gateway.config import cluster_of

Manifest = dict[str, Any]

MANAGER = "modelog"
# 49 signs at most, for KServe puts `-predictor` behind.
_READABLE = 36
_HASH = 10
_LABEL = 63
WORKLOAD = "modelog/workload"
ENDPOINT_NAME = "modelog/endpoint-name"
VERSION_NAME = "modelog/version-name"
SHA256 = "modelog/artifact-sha256"
REVISION = "modelog/revision"
WEIGHTS = "modelog/weights"
# What we last asked for; when this is what we still want and the object differs, somebody else has changed it.
APPLIED = "modelog/applied"


def _name(prefix: str, readable: str, exact: str) -> str:
    digest = hashlib.sha256(exact.encode()).hexdigest()[:_HASH]
    return f"{prefix}-{readable[:_READABLE].strip('-')}-{digest}"


@lru_cache(8192)
def workload_name(cluster: str) -> str:
    """`m-fraud-eu-fraud-3-0123456789` of `risk_fraud-eu_fraud_3`; the digest tells apart what the rest may not."""
    return _name("m", "-".join(cluster.split("_")[1:]), cluster)


def name_of(key: Key) -> str:
    return workload_name(cluster_of(*key))


def route_name(endpoint: str) -> str:
    """`e-fraud-eu-0123456789` of projects/risk/endpoints/fraud-eu."""
    return _name("e", endpoint.rpartition("/")[2], endpoint)


def backend_of(cluster: str, form: str) -> str:
    """The Service that stands for a cluster; KServe makes its own."""
    name = workload_name(cluster)
    return f"{name}-predictor" if form == "kserve" else name


def selector(installation: Installation) -> str:
    """Finds everything of this installation."""
    return f"app.kubernetes.io/managed-by={MANAGER},app.kubernetes.io/instance={installation.name}"


def common_labels(installation: Installation, endpoint: str) -> dict[str, str]:
    _, project, _, endpoint_id = endpoint.split("/")
    return {
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/instance": installation.name,
        "app.kubernetes.io/part-of": "modelog",
        "modelog/project": project,
        "modelog/endpoint": endpoint_id,
    }


def workload_labels(installation: Installation, key: Key, sha256: str) -> dict[str, str]:
    """For everything of one version on one endpoint. A label holds 63 signs, so the digest is cut; see annotations."""
    _, _, _, model, _, number = key.version.split("/")
    return {
        **common_labels(installation, key.endpoint),
        "app.kubernetes.io/name": model,
        "app.kubernetes.io/version": number,
        "modelog/digest": sha256[:_LABEL],
        WORKLOAD: name_of(key),
    }


def annotations(key: Key, sha256: str) -> dict[str, str]:
    return {ENDPOINT_NAME: key.endpoint, VERSION_NAME: key.version, SHA256: sha256}


def key_of(annotated: Mapping[str, Any]) -> Key | None:
    """Whose object this is, from its metadata; None when it does not say."""
    found = annotated.get("annotations") or {}
    if not (found.get(ENDPOINT_NAME) and found.get(VERSION_NAME)):
        return None
    return Key(found[ENDPOINT_NAME], found[VERSION_NAME])


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with a note of what it says, by which a change of somebody else's is told from one of ours."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    noted = dict(manifest["metadata"].get("annotations") or {})
    noted[APPLIED] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": noted}}
