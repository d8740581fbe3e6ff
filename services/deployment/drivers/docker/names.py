"""Names and labels. All follow from the key, so a process that starts anew finds what the one before it has begun."""

from collections.abc import Mapping
from typing import Any

from services.deployment.drivers.port import Key

# What the engine says of a container or an image, as it says it.
Facts = Mapping[str, Any]

INSTALLATION = "modelog.installation"
ENDPOINT, VERSION = "modelog.endpoint", "modelog.version"
DIGEST, REVISION = "modelog.digest", "modelog.revision"
# Which replica a container is, whatever somebody has renamed it to; and the digest of all that it was told.
REPLICA, SPEC = "modelog.replica", "modelog.spec"


def replica_name(installation: str, key: Key, index: int) -> str:
    """`modelog_risk_fraud-eu_fraud_3_1`: ids have no underscore, so no two replicas share a name."""
    _, project, _, endpoint = key.endpoint.split("/")
    _, _, _, model, _, number = key.version.split("/")
    return f"{installation}_{project}_{endpoint}_{model}_{number}_{index + 1}"


def repository_of(installation: str, key: Key) -> str:
    """`modelog/risk/fraud-eu/fraud`: each endpoint names its images itself; what is in them may be the same image."""
    _, project, _, endpoint = key.endpoint.split("/")
    return f"{installation}/{project}/{endpoint}/{key.version.split('/')[3]}"


def tag_of(installation: str, key: Key, recipe: str) -> str:
    """`modelog/risk/fraud-eu/fraud:3-1f0c77aa12bd`, with the digest of what the image is made of."""
    return f"{repository_of(installation, key)}:{key.version.rpartition('/')[2]}-{recipe[:12]}"


def key_of_tag(installation: str, tag: str) -> Key | None:
    """Whose image it is; None when it is none of ours."""
    path, _, name = tag.rpartition(":")
    match path.split("/"):
        case [first, project, endpoint, model] if first == installation:
            number = name.partition("-")[0]
            version = f"projects/{project}/models/{model}/versions/{number}"
            return Key(f"projects/{project}/endpoints/{endpoint}", version)
        case _:
            return None


def key_of(labels: Mapping[str, str] | None) -> Key:
    labels = labels or {}
    return Key(labels.get(ENDPOINT, ""), labels.get(VERSION, ""))
