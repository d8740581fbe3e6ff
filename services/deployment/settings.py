"""Deployment's environment."""

import os
from dataclasses import dataclass
from pathlib import Path

import kernel.settings

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR")


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    """Beyond what every service needs: the data plane of the driver `process`."""

    # Where endpoints answer, and Envoy's own interface; port 0 is chosen once and kept in <data_dir>/gateway.
    gateway_listen: str = "127.0.0.1:0"
    gateway_admin: str = "127.0.0.1:0"
    # How clients reach the gateway, when that differs from where it listens.
    gateway_url: str = ""
    # Start and keep Envoy; false where somebody else runs `python -m services.deployment.gateway` on the same folder.
    gateway_keep: bool = True
    # Replicas and gateway go on without this service for so long before they end themselves.
    lease_seconds: float = 30.0
    # Whether they go on when the service is stopped in order, so that it can be upgraded under load.
    outlive: bool = True
    # Who replicas publish telemetry as. The file defaults to the one of that name beside nats_password_file.
    inference_nats_user: str = "inference"
    inference_nats_password_file: str = ""

    @property
    def inference_password_file(self) -> str:
        """Empty where NATS knows no users."""
        if self.inference_nats_password_file or not self.nats_password_file:
            return self.inference_nats_password_file
        return str(Path(self.nats_password_file).absolute().with_name(self.inference_nats_user))


def environment_of_children() -> dict[str, str]:
    """What replicas and the gateway inherit: nothing of MODELOG_*, for that may name secrets."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
