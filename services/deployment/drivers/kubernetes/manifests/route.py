"""HTTPRoute: which share of an endpoint's requests goes to which version."""

import json

from services.deployment.drivers.kubernetes.manifests.service import PORT
from services.deployment.drivers.kubernetes.names import (
    ENDPOINT_NAME,
    WEIGHTS,
    Manifest,
    backend_of,
    common_labels,
    route_name,
    sealed,
)
from services.deployment.drivers.kubernetes.options import Installation, Options
from services.deployment.gateway.config import Route, path_of

_PROTOCOL = "/v2"


def http_route(route: Route, options: Options, installation: Installation) -> Manifest:
    """A route without weights has a rule without backends, to which the Gateway answers with an error."""
    namespace, gateway = options.gateway
    weights = {cluster: weight for cluster, weight in sorted(route.weights.items()) if weight > 0}
    backends = [
        {
            "group": "",
            "kind": "Service",
            "name": backend_of(cluster, options.form),
            "port": PORT,
            "weight": weight,
        }
        for cluster, weight in weights.items()
    ]
    manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": route_name(route.endpoint),
            "namespace": options.namespace,
            "labels": common_labels(installation, route.endpoint),
            "annotations": {ENDPOINT_NAME: route.endpoint, WEIGHTS: json.dumps(weights, sort_keys=True)},
        },
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": gateway}
            ],
            **({"hostnames": [options.hostname]} if options.hostname else {}),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": path_of(route.endpoint) + _PROTOCOL}}],
                    # The replica sees the path as the protocol has it, and nobody else's requests for anything else.
                    "filters": [
                        {
                            "type": "URLRewrite",
                            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": _PROTOCOL}},
                        }
                    ],
                    **({"backendRefs": backends} if backends else {}),
                }
            ],
        },
    }
    return sealed(manifest)
