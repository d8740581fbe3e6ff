"""The files Envoy reads. Each is replaced by a move, for that is what Envoy watches, and only where it differs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.deployment.gateway import config


class Files:
    """One folder: bootstrap.json, routes.json (RDS), clusters.json (CDS) and replicas/<cluster>.json (EDS)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._replicas = self.folder / "replicas"

    def prepare(self, *, listen: str, admin: str) -> Path:
        """Makes what Envoy needs to start; leaves routes and clusters of before in place. The path of the bootstrap."""
        self._replicas.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "routes.json").exists():
            self.write_routes({})
        if not (self.folder / "clusters.json").exists():
            self.write_clusters(())
        path = self.folder / "bootstrap.json"
        self._replace(path, config.bootstrap(folder=str(self.folder), listen=listen, admin=admin))
        return path

    def write_routes(self, routes: Mapping[str, config.Route]) -> str:
        """Writes the routes; their version, which Envoy reports once it uses them."""
        body = config.route_configuration(config.Table(routes=routes))
        version = _version(body)
        self._replace(self.folder / "routes.json", config.discovery(version, [body]))
        return version

    def write_clusters(self, names: tuple[str, ...]) -> str:
        """Writes which clusters there are; their version."""
        bodies = [config.cluster(name, str(self._replicas)) for name in sorted(names)]
        version = _version(bodies)
        self._replace(self.folder / "clusters.json", config.discovery(version, bodies))
        return version

    def write_replicas(self, name: str, addresses: tuple[str, ...]) -> None:
        """Writes the replicas of one cluster; comes before the cluster itself."""
        body = config.load_assignment(name, tuple(sorted(addresses)))
        self._replace(self._replicas / f"{name}.json", config.discovery(_version(body), [body]))

    def remove_replicas(self, name: str) -> None:
        (self._replicas / f"{name}.json").unlink(missing_ok=True)

    def routes(self) -> dict[str, config.Route]:
        """The routes as written, by endpoint: what the gateway does even if the service has just started."""
        found = {}
        (body,) = self._read(self.folder / "routes.json")
        for route in body["virtual_hosts"][0]["routes"]:
            _, project, *rest = route["match"]["prefix"].split("/")
            if rest:
                endpoint = f"projects/{project}/endpoints/{rest[0]}"
                weighted = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
                copied = route.get("route", {}).get("request_mirror_policies", [])
                found[endpoint] = config.Route(
                    endpoint,
                    {one["name"]: one["weight"] for one in weighted},
                    mirrors={one["cluster"]: config.percent_of(one) for one in copied},
                )
        return found

    def clusters(self) -> tuple[str, ...]:
        """The clusters as written."""
        return tuple(one["name"] for one in self._read(self.folder / "clusters.json"))

    @staticmethod
    def _read(path: Path) -> list[dict[str, Any]]:
        resources: list[dict[str, Any]] = json.loads(path.read_text())["resources"]
        return resources

    @staticmethod
    def _replace(path: Path, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=1, sort_keys=True)
        if path.exists() and path.read_text() == text:
            return
        beside = path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(path)


def _version(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
