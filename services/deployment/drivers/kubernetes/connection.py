"""A connection to the cluster's API with the identity of a kubeconfig or of the pod that this is.

lightkube reads both, with certificates, tokens that change and commands that give tokens; the requests are our own.
"""

from pathlib import Path

import httpx2 as httpx
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from services.deployment.drivers.port import PlatformAway

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 5.0


def open_client(kubeconfig: Path | None) -> httpx.AsyncClient:
    """Opens no connection yet. PlatformAway when there is no identity, which somebody may still provide."""
    where = kubeconfig or "the pod's service account"
    try:
        config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_service_account()
        chosen = config.get()
        if chosen is None:
            raise ConfigError("it names no context to use")
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        return AsyncClient(chosen, ConnectionParams(timeout=timeout, trust_env=False))
    except Exception as error:  # A file that is none, half of one, or of another form: lightkube says so in many ways.
        raise PlatformAway(f"{where} does not say how to reach the cluster: {error!r}") from error
