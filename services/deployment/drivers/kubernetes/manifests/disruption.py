"""PodDisruptionBudget: whoever empties a node takes one pod of a version at a time."""

from services.deployment.drivers.kubernetes.manifests.meta import metadata, selecting
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload


def disruption_budget(workload: Workload, options: Options, installation: Installation) -> Manifest:
    """By what may be missing and not by what must be there: a version with one pod must not hold a node for ever."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(workload, options, installation),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selecting(workload)}},
    }
