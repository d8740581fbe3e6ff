"""How many pods there are: a fixed number, or what the load asks for within bounds."""

from services.deployment.drivers.kubernetes.manifests.meta import metadata
from services.deployment.drivers.kubernetes.names import Manifest, name_of
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload

# Of the cores that were requested.
CPU_PERCENT = 70


def least(workload: Workload, options: Options) -> int:
    """As many as the endpoint asks for, or the environment."""
    return max(workload.replicas, options.replicas_min)


def scales(workload: Workload, options: Options) -> bool:
    return options.replicas_max > least(workload, options)


def autoscaler(workload: Workload, options: Options, installation: Installation) -> Manifest:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(workload, options, installation),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name_of(workload.key)},
            "minReplicas": least(workload, options),
            "maxReplicas": options.replicas_max,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT},
                    },
                }
            ],
        },
    }
