"""Deployment: keeps so many pods of one version."""

from services.deployment.drivers.kubernetes.manifests.meta import metadata, selecting
from services.deployment.drivers.kubernetes.manifests.pod import pod
from services.deployment.drivers.kubernetes.manifests.scaling import least, scales
from services.deployment.drivers.kubernetes.names import REVISION, Manifest
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload


def deployment(workload: Workload, options: Options, installation: Installation) -> Manifest:
    """Where the autoscaler decides the number, none is asked for here: a field has one owner."""
    meta = metadata(workload, options, installation)
    meta["annotations"][REVISION] = str(workload.revision)
    number = {} if scales(workload, options) else {"replicas": least(workload, options)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            **number,
            "selector": {"matchLabels": selecting(workload)},
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod(workload, options, installation),
        },
    }
