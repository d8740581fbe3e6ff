"""Where the services are and who calls: arguments first, then the environment, then the suite that runs nearby."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelog.sdk.errors import NotConfigured

SERVICES = ("registry", "deployment", "monitoring", "archive")
_SUITE = Path(".modelog") / "suite.json"


@dataclass(frozen=True)
class Addresses:
    """`host:port` by service. Asked for only when a service is used, so a program needs to know no other."""

    given: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path | None = None

    def of(self, service: str) -> str:
        """Where the service is; NotConfigured when nobody said it."""
        address = (
            self.given.get(service)
            or self.environment.get(f"MODELOG_{service.upper()}")
            or self.environment.get("MODELOG_ADDRESS")
            or self._of_suite(service)
        )
        if address:
            return address
        raise NotConfigured(
            f"no address of the {service} service: start the embedded suite here with `make up` (or `modelog up`), "
            f"or set MODELOG_{service.upper()}=host:port"
        )

    def _of_suite(self, service: str) -> str:
        entry = nearest_suite(self.folder)[1].get("services", {}).get(service, {})
        return str(entry.get("address", ""))


def nearest_suite(folder: Path | None = None) -> tuple[Path | None, dict[str, Any]]:
    """Folder and description of the suite that runs in this folder or in the nearest one above; (None, {}) if none."""
    for parent in _upwards(folder or Path.cwd()):
        try:
            description = json.loads((parent / _SUITE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(description, dict):
            return (parent / _SUITE).parent, description
    return None, {}


def artifacts_dir(given: str | Path | None = None) -> Path:
    """The content-addressed folder that the services read artifacts from; NotConfigured when nobody said it."""
    if named := given or os.environ.get("MODELOG_ARTIFACTS_DIR"):
        return Path(named)
    if found := nearest_suite()[0]:
        return found / "artifacts"
    raise NotConfigured(
        "no folder for artifacts: start the embedded suite here with `make up` (or `modelog up`), "
        "or set MODELOG_ARTIFACTS_DIR to the folder that the services read"
    )


def store() -> str:
    """The content-addressed store that artifacts are put into; empty for the folder that the services read."""
    return os.environ.get("MODELOG_STORE", "")


def unattended(**values: str) -> dict[str, str]:
    """The environment for a child process, with further values."""
    return os.environ | values


def actor(given: str = "") -> str:
    """Who calls, as the development identity believes it; empty for the server's default."""
    return given or os.environ.get("MODELOG_ACTOR", "")


def token_file(given: str | Path = "") -> str:
    """The file whose token proves who calls; empty when nobody said one."""
    return str(given or os.environ.get("MODELOG_TOKEN_FILE", ""))


def tls_files(ca: str | Path = "", certificate: str | Path = "", key: str | Path = "") -> tuple[str, str, str]:
    """Whom to trust with naming services, and a client's own certificate and key; empty where nobody said one."""
    given = {"CA": ca, "CERTIFICATE": certificate, "KEY": key}
    first, second, third = (str(one or os.environ.get(f"MODELOG_{name}_FILE", "")) for name, one in given.items())
    return first, second, third


def issuer() -> str:
    """Whose login is meant; empty when nobody said it."""
    return os.environ.get("MODELOG_ISSUER", "")


def own_folder() -> Path:
    """Where this user's own configuration of modelog is."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "modelog"


def _upwards(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents
