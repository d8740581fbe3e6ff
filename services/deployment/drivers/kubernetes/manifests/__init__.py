"""What is asked of a cluster for one version on one endpoint, and for one endpoint's requests. Pure functions.

Fields are those of the published APIs: apps/v1, v1, autoscaling/v2, policy/v1, networking.k8s.io/v1 of Kubernetes 1.30
and newer, gateway.networking.k8s.io/v1, serving.kserve.io/v1beta1.
"""

from services.deployment.drivers.kubernetes.manifests.deployment import deployment
from services.deployment.drivers.kubernetes.manifests.disruption import disruption_budget
from services.deployment.drivers.kubernetes.manifests.kserve import inference_service
from services.deployment.drivers.kubernetes.manifests.network import network_policy
from services.deployment.drivers.kubernetes.manifests.pod import BadArtifact
from services.deployment.drivers.kubernetes.manifests.route import http_route
from services.deployment.drivers.kubernetes.manifests.scaling import autoscaler, scales
from services.deployment.drivers.kubernetes.manifests.service import service
from services.deployment.drivers.kubernetes.names import Manifest, sealed
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload

__all__ = ["BadArtifact", "http_route", "objects_of", "scales"]


def objects_of(workload: Workload, options: Options, installation: Installation) -> list[Manifest]:
    """Everything of one version on one endpoint, in the order in which it is made. BadArtifact: it cannot be served."""
    built = [network_policy(workload, options, installation)]
    if options.form == "kserve":
        built.append(inference_service(workload, options, installation))
    else:
        built.append(deployment(workload, options, installation))
        built.append(service(workload, options, installation))
        if scales(workload, options):
            built.append(autoscaler(workload, options, installation))
    built.append(disruption_budget(workload, options, installation))
    return [sealed(one) for one in built]
