"""Which kinds of objects are made, and where the API has them."""

from typing import NamedTuple


class ApiKind(NamedTuple):
    """optional: brought by somebody else's definitions, which a cluster may not have."""

    name: str
    path: str
    plural: str
    optional: bool = False


POD = ApiKind("Pod", "api/v1", "pods")
DEPLOYMENT = ApiKind("Deployment", "apis/apps/v1", "deployments")
INFERENCE_SERVICE = ApiKind("InferenceService", "apis/serving.kserve.io/v1beta1", "inferenceservices", optional=True)
HTTP_ROUTE = ApiKind("HTTPRoute", "apis/gateway.networking.k8s.io/v1", "httproutes", optional=True)
# What keeps pods; the rest stands around them.
KEEPERS = (DEPLOYMENT, INFERENCE_SERVICE)
AROUND = (
    ApiKind("HorizontalPodAutoscaler", "apis/autoscaling/v2", "horizontalpodautoscalers"),
    ApiKind("PodDisruptionBudget", "apis/policy/v1", "poddisruptionbudgets"),
    ApiKind("NetworkPolicy", "apis/networking.k8s.io/v1", "networkpolicies"),
    ApiKind("Service", "api/v1", "services"),
)
OF_VERSIONS = (*KEEPERS, *AROUND)
ALL = (*OF_VERSIONS, POD, HTTP_ROUTE)
BY_NAME = {kind.name: kind for kind in ALL}
