"""What the driver `kubernetes` would ask a cluster for, as text for a repository that somebody else applies."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kernel.errors import NotAllowedNow
from kernel.rooms import Rooms
from modelog.deployment.v1.types_pb2 import ENDPOINT_STATE_ACTIVE, Endpoint, Environment, KnownVersion
from modelog.type.v1.read_pb2 import ReadOptions
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION
from services.deployment.drivers.kubernetes.manifests import BadArtifact, http_route, objects_of
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.kubernetes.options import Installation, options_of
from services.deployment.gateway.config import Route, cluster_of
from services.deployment.workloads import workload_of

# Without quotes only what no reader takes for anything but text.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.-]*")
_WORDS = frozenset("null true false yes no on off y n".split())


class Manifests:
    """Reads what an endpoint serves and writes it down; the same state always gives the same text."""

    def __init__(self, rooms: Rooms, installation: Installation) -> None:
        self._resources = rooms.resources
        self._installation = installation

    async def of(self, name: str, read: ReadOptions) -> str:
        """YAML of every version that has traffic, and of the route that shares it out."""
        endpoint = Endpoint.FromString(await self._resources.get(ENDPOINT, name, read))
        place = Environment.FromString(await self._resources.get(ENVIRONMENT, endpoint.environment, read))
        if place.driver != "kubernetes":
            raise NotAllowedNow(
                "NOT_ON_KUBERNETES",
                f"{name} runs on {place.driver}; only endpoints on kubernetes have manifests",
            )
        if endpoint.state != ENDPOINT_STATE_ACTIVE:
            raise NotAllowedNow("ENDPOINT_REMOVED", f"{name} is removed and asks a cluster for nothing")
        options = options_of(place.driver_settings, self._installation)
        documents: list[Manifest] = []
        for share in sorted(endpoint.traffic, key=lambda one: one.version):
            known = KnownVersion.FromString(await self._resources.get(KNOWN_VERSION, share.version, read))
            try:
                documents.extend(objects_of(workload_of(endpoint, known, place), options, self._installation))
            except BadArtifact as bad:
                raise NotAllowedNow("ARTIFACT_NOT_SERVED", str(bad)) from bad
        weights = {cluster_of(name, share.version): share.percent for share in endpoint.traffic}
        documents.append(http_route(Route(name, weights), options, self._installation))
        return "".join(f"---\n{yaml(one)}" for one in documents)


def yaml(document: Mapping[str, Any]) -> str:
    """YAML 1.2 in blocks. Keys keep their order; every text that could be read as something else stands in quotes."""
    return "".join(f"{line}\n" for line in _lines(document))


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    items = value.items() if isinstance(value, Mapping) else ((None, one) for one in value)
    for name, inner in items:
        lead = "-" if name is None else f"{_scalar(name)}:"
        if isinstance(inner, Mapping | list | tuple) and inner:
            nested = list(_lines(inner))
            if name is None:
                yield f"- {nested[0]}"
                yield from (f"  {line}" for line in nested[1:])
            else:
                yield lead
                yield from (f"  {line}" for line in nested)
        else:
            yield f"{lead} {_scalar(inner)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
