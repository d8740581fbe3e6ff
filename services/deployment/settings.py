"""Deployment's environment."""

import os
from dataclasses import dataclass
from pathlib import Path

import kernel.settings

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR")


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    """Beyond what every service needs: the data planes."""

    # The driver `process`: where endpoints answer, and Envoy's own interface; port 0 is chosen once and kept in
    # <data_dir>/gateway.
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
    # The driver `kubernetes`: namespaces and images that environments may choose, by commas; the first is taken where
    # an environment names none. Without namespaces this installation has no such driver; without images each
    # environment names its own.
    kubernetes_namespaces: str = ""
    kubernetes_images: str = ""
    # Marks what is ours, in a cluster that several installations use.
    kubernetes_installation: str = "modelog"
    # Where this service itself runs: pods let it ask what they have counted.
    kubernetes_service_namespace: str = "modelog"
    # How the cluster is reached; empty: as the pod of it that this is.
    kubernetes_kubeconfig: str = ""
    # Where pods publish telemetry, and the Secret of their namespace that has `password` and, for TLS, `ca.crt`.
    kubernetes_nats_url: str = ""
    kubernetes_nats_secret: str = ""
    # The driver `docker`: the engine's socket (unix:///var/run/docker.sock); empty: this installation has no such
    # driver. Images in which replicas run, of which environments may choose, by commas, the first by default; without
    # any each environment names its own. Networks likewise, made when they are not there.
    docker_host: str = ""
    docker_images: str = ""
    docker_networks: str = "modelog"
    # Marks what is ours, on an engine that several installations use.
    docker_installation: str = "modelog"
    # The address of this machine at which the gateway finds replicas.
    docker_publish: str = "127.0.0.1"
    # Where containers publish telemetry; empty: nowhere, for what is 127.0.0.1 here is not there.
    docker_nats_url: str = ""
    # Secrets that environments may name, of the driver `process`: files of this folder, and variables by commas, which
    # are lent under the same names.
    secrets_dir: str = ""
    secret_variables: str = ""
    # For tests: the process dies when it reaches this point, see failpoints.py.
    failpoint: str = ""
    # Who replicas publish telemetry as. The file defaults to the one of that name beside nats_password_file.
    inference_nats_user: str = "inference"
    inference_nats_password_file: str = ""

    @property
    def inference_password_file(self) -> str:
        """Empty where NATS knows no users."""
        if self.inference_nats_password_file or not self.nats_password_file:
            return self.inference_nats_password_file
        return str(Path(self.nats_password_file).absolute().with_name(self.inference_nats_user))


def lent_variables(settings: Settings) -> dict[str, str]:
    """The variables that this installation lends, as far as they are set; never one of ours."""
    names = [name for name in words(settings.secret_variables) if not name.startswith("MODELOG_")]
    return {name: os.environ[name] for name in names if name in os.environ}


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(one.strip() for one in text.split(",") if one.strip())


def environment_of_children() -> dict[str, str]:
    """What replicas and the gateway inherit: nothing of MODELOG_*, for that may name secrets."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}
