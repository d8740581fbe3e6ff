"""What somebody else did to the files Envoy reads, in words for the endpoints it concerns. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.deployment.gateway import grpc
from services.deployment.gateway.config import endpoint_of, read_route

READ_ERRORS = (ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Foreign:
    """One file that was not as it had been left.

    name: without folder and `.json`. found: its text, None when it was gone.
    """

    name: str
    found: str | None
    left: str


def version_of(resources: object) -> str:
    """What a file says of its own content: whoever changes the one by hand seldom knows the other."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def is_ours(text: str) -> bool:
    """Whether the content is what its version says."""
    try:
        content = json.loads(text)
        return bool(content["version_info"] == version_of(content["resources"]))
    except READ_ERRORS:
        return False


def told(files: Iterable[Foreign], endpoints: Iterable[str]) -> dict[str, str]:
    """What is put right, by endpoint. endpoints: whom it concerns when a file of all of them is lost."""
    everybody, words = tuple(endpoints), dict[str, list[str]]()
    for file in files:
        for endpoint, what in _told(file, everybody).items():
            if endpoint in everybody:
                words.setdefault(endpoint, []).append(what)
    return {endpoint: "; ".join(found) for endpoint, found in words.items()}


def _told(file: Foreign, everybody: Iterable[str]) -> Mapping[str, str]:
    if file.found is None:
        return dict.fromkeys(everybody, f"the gateway's {file.name} were gone and are written again")
    try:
        return _routes(file) if file.name == "routes" else _clusters(file)
    except READ_ERRORS:
        return dict.fromkeys(everybody, f"the gateway's {file.name} could not be read and are written again")


def _routes(file: Foreign) -> dict[str, str]:
    found, left = routes_of(file.found or ""), routes_of(file.left)
    words = {}
    for endpoint, written in left.items():
        if endpoint not in found:
            words[endpoint] = "its route was gone from the gateway and is made again"
        elif found[endpoint] != written:
            difference = _difference(endpoint, found[endpoint], written)
            words[endpoint] = f"its route in the gateway was changed ({difference}) and is put right"
    before, now = (_grpc_routes_of(text) for text in (file.left, file.found or ""))
    for endpoint in sorted(name for name, written in before.items() if now.get(name) != written):
        words.setdefault(endpoint, "its route for gRPC in the gateway was changed and is put right")
    return words


def _difference(endpoint: str, found: Mapping[str, Any], left: Mapping[str, Any]) -> str:
    """Weights in words; of everything else only that it differs, for what it meant can be read in the file alone."""
    now, before = read_route(endpoint, found), read_route(endpoint, left)
    parts = []
    for what, one, other in (("weights", now.weights, before.weights), ("mirrors", now.mirrors, before.mirrors)):
        if one != other:
            parts.append(f"{what} {_shares(one)} instead of {_shares(other)}")
    return ", ".join(parts) or "its other settings"


def _shares(shares: Mapping[str, float]) -> str:
    return " ".join(f"{name} {share:g}" for name, share in sorted(shares.items())) or "none"


def _clusters(file: Foreign) -> dict[str, str]:
    found, left = ({one["name"]: one for one in resources_of(text)} for text in (file.found or "", file.left))
    changed: dict[str, dict[str, list[str]]] = {}
    for name in sorted(name for name, written in left.items() if found.get(name) != written):
        what = _changed_of(found.get(name, {}), left[name])
        changed.setdefault(endpoint_of(name), {}).setdefault(what, []).append(name)
    return {
        endpoint: "; ".join(
            f"the gateway's {what} of {', '.join(names)} were changed and are put right"
            for what, names in sorted(parts.items())
        )
        for endpoint, parts in changed.items()
    }


def _changed_of(found: Mapping[str, Any], left: Mapping[str, Any]) -> str:
    """What of a cluster: its replicas, or anything else."""
    same = all(found.get(name) == value for name, value in left.items() if name != "load_assignment")
    return "replicas" if same and found.keys() == left.keys() else "settings"


def resources_of(text: str) -> list[dict[str, Any]]:
    """The resources of a file. ValueError or LookupError when it is none."""
    resources: list[dict[str, Any]] = json.loads(text)["resources"]
    return resources


def routes_of(text: str) -> dict[str, Mapping[str, Any]]:
    """The routes in routes.json as written, by endpoint."""
    found = {}
    (body,) = resources_of(text)
    for route in body["virtual_hosts"][0]["routes"]:
        _, project, *rest = route["match"]["prefix"].split("/")
        if rest and not grpc.is_route(route):
            found[f"projects/{project}/endpoints/{rest[0]}"] = route
    return found


def _grpc_routes_of(text: str) -> dict[str, Mapping[str, Any]]:
    """Those of gRPC, by endpoint."""
    (body,) = resources_of(text)
    written = body["virtual_hosts"][0]["routes"]
    return {grpc.endpoint_of(route): route for route in written if grpc.is_route(route)}
