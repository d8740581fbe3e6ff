"""Replicas as pods of a cluster, traffic by the Gateway API. The client's library is loaded by who connects."""

from pathlib import Path

from services.deployment.drivers.kubernetes.driver import KubernetesDriver
from services.deployment.drivers.kubernetes.options import Installation
from services.deployment.drivers.kubernetes.traffic import Routes
from services.deployment.drivers.kubernetes.world import World


def connected(installation: Installation, kubeconfig: Path | None) -> tuple[KubernetesDriver, Routes]:
    """The driver and its traffic over one connection; kubeconfig None: as the pod that this is."""
    from services.deployment.drivers.kubernetes.api import Api  # It needs the extra `kubernetes`.
    from services.deployment.drivers.kubernetes.connection import open_client

    world = World(Api(lambda: open_client(kubeconfig)), installation)
    return KubernetesDriver(world), Routes(world)
