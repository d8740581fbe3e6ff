"""The files Envoy reads. Each is replaced by a move, for that is what Envoy watches, and only where it differs."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from services.deployment.gateway import config, drift, grpc

# Who has not looked for longer than this may not be the one who wrote last, so what it remembers says nothing.
_REMEMBERED_SECONDS = 15.0


class Files:
    """One folder: bootstrap.json, routes.json (RDS), clusters.json (CDS) and replicas/<cluster>.json (EDS)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._replicas = self.folder / "replicas"
        self._routes, self._clusters = self.folder / "routes.json", self.folder / "clusters.json"
        self._left: dict[Path, str] = {}
        self._looked = 0.0
        self._foreign: list[drift.Foreign] = []

    def prepare(self, *, listen: str, admin: str) -> Path:
        """Makes what Envoy needs to start; leaves routes and clusters of before in place. The path of the bootstrap."""
        self._replicas.mkdir(parents=True, exist_ok=True)
        if not self._routes.exists():
            self.write_routes({})
        if not self._clusters.exists():
            self.write_clusters((), {})
        path = self.folder / "bootstrap.json"
        self._replace(path, config.bootstrap(folder=str(self.folder), listen=listen, admin=admin))
        return path

    def look(self) -> None:
        """Comes before the writing of each turn: what was found changed is noted from here on."""
        now = time.monotonic()
        if now > self._looked + _REMEMBERED_SECONDS:
            self._left.clear()
        self._looked = now
        self._foreign.clear()
        self._replicas.mkdir(parents=True, exist_ok=True)

    def foreign(self) -> tuple[drift.Foreign, ...]:
        """What had been changed by somebody else, of all that was written since `look`."""
        return tuple(self._foreign)

    def write_routes(self, routes: Mapping[str, config.Route]) -> str:
        """Writes the routes; their version, which Envoy reports once it uses them."""
        return self._write(self._routes, [config.route_configuration(config.Table(routes=routes))])

    def write_clusters(self, names: Iterable[str], policies: Mapping[str, TrafficPolicy]) -> str:
        """Writes which clusters there are; their version. policies: by endpoint; others' clusters stay."""
        written = {one["name"]: one for one in self._resources(self._clusters)}
        return self._write(self._clusters, [self._cluster(name, policies, written) for name in sorted(names)])

    def _cluster(
        self, name: str, policies: Mapping[str, TrafficPolicy], written: Mapping[str, dict[str, Any]]
    ) -> dict[str, Any]:
        policy = policies.get(config.endpoint_of(name))
        if policy is None and name in written:
            return written[name]
        return grpc.fitted(config.cluster(name, str(self._replicas), policy))

    def write_replicas(self, name: str, addresses: tuple[str, ...]) -> None:
        """Writes the replicas of one cluster; comes before the cluster itself."""
        self._write(self._replicas / f"{name}.json", [config.load_assignment(name, tuple(sorted(addresses)))])

    def remove_replicas(self, name: str) -> None:
        path = self._replicas / f"{name}.json"
        self._left.pop(path, None)
        path.unlink(missing_ok=True)

    def routes(self) -> dict[str, config.Route]:
        """The routes as written, by endpoint: what the gateway does even if the service has just started."""
        try:
            written = drift.routes_of(self._text(self._routes))
            return {endpoint: config.read_route(endpoint, route) for endpoint, route in written.items()}
        except (OSError, *drift.READ_ERRORS):
            return {}

    def clusters(self) -> tuple[str, ...]:
        """The clusters as written, or as their replicas tell when that cannot be read."""
        known = tuple(one["name"] for one in self._resources(self._clusters))
        return known or tuple(one.stem for one in self._replicas.glob("*.json"))

    def marks(self) -> dict[str, tuple[int, int]]:
        """Differs whenever somebody has written, replaced or removed one of the files Envoy reads.

        Whoever asks has looked: what it remembers of the files goes on to say something.
        """
        self._looked = time.monotonic()
        found = {}
        for folder, names in ((self.folder, ("routes.json", "clusters.json")), (self._replicas, None)):
            if not folder.exists():
                continue
            with os.scandir(folder) as entries:
                for one in entries:
                    if names is None or one.name in names:
                        told = one.stat()
                        found[one.path] = (told.st_ino, told.st_mtime_ns)
        return found

    def _resources(self, path: Path) -> list[dict[str, Any]]:
        try:
            return drift.resources_of(self._text(path))
        except (OSError, *drift.READ_ERRORS):
            return []

    def _text(self, path: Path) -> str:
        """As it was left, whatever somebody made of it since."""
        return self._left[path] if path in self._left else path.read_text()

    def _write(self, path: Path, resources: list[dict[str, Any]]) -> str:
        version = drift.version_of(resources)
        self._replace(path, config.discovery(version, resources))
        return version

    def _replace(self, path: Path, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=1, sort_keys=True)
        found: str | None
        try:
            found = path.read_text()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            found = None if isinstance(error, FileNotFoundError) else ""
        self._compare(path, found, text)
        self._left[path] = text
        if found == text:
            return
        beside = path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(path)

    def _compare(self, path: Path, found: str | None, wanted: str) -> None:
        """Notes what is neither as it was left nor, when nobody remembers that, in agreement with itself."""
        left = self._left.get(path)
        if found in (wanted, left):
            return
        if left is not None or (found is not None and not drift.is_ours(found)):
            self._foreign.append(drift.Foreign(path.stem, found, left or wanted))
