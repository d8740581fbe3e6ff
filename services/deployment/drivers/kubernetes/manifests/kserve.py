"""InferenceService: the same pod, kept by KServe instead of a Deployment of ours.

KServe's own `storageUri` brings a model without looking at its digest, so the pod brings and checks it itself.
"""

from services.deployment.drivers.kubernetes.manifests.meta import metadata
from services.deployment.drivers.kubernetes.manifests.pod import pod
from services.deployment.drivers.kubernetes.manifests.scaling import CPU_PERCENT, least
from services.deployment.drivers.kubernetes.names import REVISION, Manifest
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.drivers.port import Workload

# The name by which KServe knows the container that serves.
_CONTAINER = "kserve-container"


def inference_service(workload: Workload, options: Options, installation: Installation) -> Manifest:
    meta = metadata(workload, options, installation)
    meta["annotations"][REVISION] = str(workload.revision)
    meta["annotations"]["serving.kserve.io/deploymentMode"] = "RawDeployment"
    template = pod(workload, options, installation, container=_CONTAINER)
    minimum = least(workload, options)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": meta,
        "spec": {
            "predictor": {
                "minReplicas": minimum,
                "maxReplicas": max(minimum, options.replicas_max),
                "scaleMetric": "cpu",
                "scaleTarget": CPU_PERCENT,
                **template["metadata"],
                **template["spec"],
            }
        },
    }
