"""gRPC inference through the gateway: beside each cluster one of the same replicas' gRPC ports, with the same weights.

All endpoints share the path of the protocol's service, so a request names its endpoint in the metadata
`modelog-endpoint: risk/fraud-eu`. Retries, timeouts, mirrors and stickiness are those of the endpoint's HTTP route.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TYPE = "type.googleapis.com/envoy"
_SERVICE = "inference.GRPCInferenceService"
_PREFIX = f"/{_SERVICE}/"
_SUFFIX = "_grpc"
HEADER = "modelog-endpoint"
# Statuses that are a server's fault: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL,
# UNAVAILABLE and DATA_LOSS.
_ERRORS = frozenset({2, 4, 8, 12, 13, 14, 15})


def beside(cluster: str) -> str:
    """The cluster for gRPC of the same replicas: `risk_fraud-eu_fraud_3_grpc`."""
    return cluster + _SUFFIX


def is_beside(cluster: str) -> bool:
    return cluster.endswith(_SUFFIX)


def with_beside(clusters: Iterable[str]) -> set[str]:
    """The clusters, and those for gRPC beside them."""
    return {name for cluster in clusters for name in (cluster, beside(cluster))}


def is_route(route: Mapping[str, Any]) -> bool:
    """Whether a route as written is one of these."""
    return bool(route["match"]["prefix"] == _PREFIX)


def endpoint_of(route: Mapping[str, Any]) -> str:
    """Whose route this is."""
    project, _, id_ = str(route["match"]["headers"][0]["string_match"]["exact"]).partition("/")
    return f"projects/{project}/endpoints/{id_}"


def routes(http: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The routes of gRPC, from those of HTTP by endpoint."""
    for endpoint, route in sorted(http.items()):
        _, project, _, id_ = endpoint.split("/")
        named = {"name": HEADER, "string_match": {"exact": f"{project}/{id_}"}}
        yield _moved({**copy.deepcopy(dict(route)), "match": {"prefix": _PREFIX, "headers": [named]}})


def _moved(route: dict[str, Any]) -> dict[str, Any]:
    """To the clusters beside, and with the path as it is."""
    action = route.get("route", {})
    action.pop("prefix_rewrite", None)
    for one in action.get("weighted_clusters", {}).get("clusters", ()):
        one["name"] = beside(one["name"])
    for one in action.get("request_mirror_policies", ()):
        one["cluster"] = beside(one["cluster"])
    return route


def fitted(cluster: dict[str, Any]) -> dict[str, Any]:
    """A cluster as it is, or where it is one beside: HTTP/2, and asked for its health by grpc.health.v1."""
    if not is_beside(cluster["name"]):
        return cluster
    fit = copy.deepcopy(cluster)
    for check in fit.get("health_checks", ()):
        check.pop("http_health_check", None)
        check["grpc_health_check"] = {}
    options = fit["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    options["explicit_http_config"] = {"http2_protocol_options": {}}
    return fit


def statistics() -> dict[str, Any]:
    """The filter that counts answers by their gRPC status, for they all have status 200 of HTTP."""
    counted = {"services": [{"name": _SERVICE, "method_names": ["ModelInfer"]}]}
    return {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.grpc_stats.v3.FilterConfig",
            "individual_method_stats_allowlist": counted,
        },
    }


def errors(stats: Mapping[str, int]) -> int:
    """Of answers by statistic (`...ModelInfer.13`), those that are a server's fault."""
    return sum(count for name, count in stats.items() if int(name.rpartition(".")[2]) in _ERRORS)
