"""The files Envoy reads. Each is replaced by a move, for that is what Envoy watches, and only where it differs."""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from services.deployment.gateway import config, drift, grpc
from services.deployment.gateway.bootstrap import bootstrap

# Who has not looked for longer than this may not be the one who wrote last, so what it remembers says nothing.
_REMEMBERED_SECONDS = 15.0


class Files:
    """One folder: bootstrap.json, routes.json (RDS), and clusters.json (CDS) with the replicas."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._routes, self._clusters = self.folder / "routes.json", self.folder / "clusters.json"
        self._left: dict[Path, str] = {}
        self._looked = 0.0
        self._foreign: list[drift.Foreign] = []

    def prepare(self, *, listen: str, admin: str) -> Path:
        """Makes what Envoy needs to start; leaves routes and clusters of before in place. The path of the bootstrap."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._routes.exists():
            self.write_routes({})
        if not self._clusters.exists():
            self.write_clusters({}, {})
        path = self.folder / "bootstrap.json"
        self._replace(path, bootstrap(folder=str(self.folder), listen=listen, admin=admin))
        return path

    def look(self) -> None:
        """Comes before the writing of each turn: what was found changed is noted from here on."""
        now = time.monotonic()
        if now > self._looked + _REMEMBERED_SECONDS:
            self._left.clear()
        self._looked = now
        self._foreign.clear()
        self.folder.mkdir(parents=True, exist_ok=True)

    def foreign(self) -> tuple[drift.Foreign, ...]:
        """What had been changed by somebody else, of all that was written since `look`."""
        return tuple(self._foreign)

    def write_routes(self, routes: Mapping[str, config.Route]) -> str:
        """Writes the routes; their version, which Envoy reports once it uses them."""
        return self._write(self._routes, [config.route_configuration(config.Table(routes=routes))])

    def write_clusters(self, replicas: Mapping[str, Iterable[str]], policies: Mapping[str, TrafficPolicy]) -> str:
        """Writes which clusters there are; their version.

        replicas: addresses by cluster. policies: by endpoint; the settings of others' clusters stay.
        """
        written = self._written()
        return self._write(
            self._clusters, [_cluster(name, replicas[name], policies, written.get(name)) for name in sorted(replicas)]
        )

    def routes(self) -> dict[str, config.Route]:
        """The routes as written, by endpoint: what the gateway does even if the service has just started."""
        try:
            written = drift.routes_of(self._text(self._routes))
            return {endpoint: config.read_route(endpoint, route) for endpoint, route in written.items()}
        except (OSError, *drift.READ_ERRORS):
            return {}

    def clusters(self) -> dict[str, tuple[str, ...]]:
        """Replicas by cluster as written; none when that cannot be read."""
        return {name: config.addresses_of(one) for name, one in self._written().items()}

    def marks(self) -> dict[Path, tuple[int, int]]:
        """Differs whenever somebody has written, replaced or removed one of the files Envoy reads.

        Whoever asks has looked: what it remembers of the files goes on to say something.
        """
        self._looked = time.monotonic()
        found = {}
        for path in (self._routes, self._clusters):
            with suppress(FileNotFoundError):
                told = path.stat()
                found[path] = (told.st_ino, told.st_mtime_ns)
        return found

    def _written(self) -> dict[str, dict[str, Any]]:
        """Clusters by name. Those that a former release wrote without their replicas are left out, to be made anew."""
        try:
            whole = {one["name"]: one for one in drift.resources_of(self._text(self._clusters))}
            found = {name: one for name, one in whole.items() if "load_assignment" in one}
            for one in found.values():
                config.addresses_of(one)
        except (OSError, *drift.READ_ERRORS):
            return {}
        return found

    def _text(self, path: Path) -> str:
        """As it was left, whatever somebody made of it since."""
        return self._left[path] if path in self._left else path.read_text()

    def _write(self, path: Path, resources: list[Mapping[str, Any]]) -> str:
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


def _cluster(
    name: str,
    addresses: Iterable[str],
    policies: Mapping[str, TrafficPolicy],
    written: Mapping[str, Any] | None,
) -> Mapping[str, Any]:
    policy = policies.get(config.endpoint_of(name))
    if policy is None and written is not None:
        return {**written, "load_assignment": config.load_assignment(name, addresses)}
    return grpc.fitted(config.cluster(name, addresses, policy))
