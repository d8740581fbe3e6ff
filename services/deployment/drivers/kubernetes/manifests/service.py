"""Service: one name for all pods of one version, so that a share of traffic has something to point to."""

from services.deployment.drivers.kubernetes.manifests.meta import metadata, selecting
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload

PORT = 80


def service(workload: Workload, options: Options, installation: Installation) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(workload, options, installation),
        "spec": {
            "type": "ClusterIP",
            "selector": selecting(workload),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }
