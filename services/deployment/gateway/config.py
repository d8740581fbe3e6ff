"""What Envoy is told, as plain dictionaries. Pure: the same table always makes the same configuration.

Fields are those of the xDS v3 API, https://www.envoyproxy.io/docs/envoy/latest/api-v3/api.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from services.deployment.gateway import grpc
from services.deployment.gateway import policy as policies

TYPE = "type.googleapis.com/envoy"
_NOTES = "modelog"
SHADOW_HEADER = "x-modelog-shadow"
# Shorter than the replicas keep idle connections, so that Envoy never sends into one that is just being closed.
_IDLE_SECONDS = 60
_CONNECT_SECONDS = 1
BUFFER_BYTES = 16 * 1024 * 1024
_MILLIONTHS = 10_000  # Of a percent.
# Upper bounds of the latency histogram in milliseconds: what an analysis can tell apart.
LATENCY_BOUNDS_MS = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300, 400, 500),
    *(600, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 20000, 30000, 60000),
)


@dataclass(frozen=True)
class Route:
    """Where one endpoint's requests go: weights by cluster, adding up to 100, or none for an answer of 503.

    settings: the driver's, of the endpoint's environment. mirrors: percent of the requests, 0 to 100, that a cluster is
    sent copies of, by its name; nobody gets its answers. policy: how requests are treated.
    """

    endpoint: str
    weights: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)
    mirrors: Mapping[str, float] = field(default_factory=dict)
    policy: TrafficPolicy = field(default_factory=TrafficPolicy)

    @property
    def prefix(self) -> str:
        return path_of(self.endpoint) + "/"

    @property
    def clusters(self) -> frozenset[str]:
        """Whoever gets requests, or copies of them."""
        return frozenset(self.weights) | frozenset(self.mirrors)


@dataclass(frozen=True)
class Table:
    """Everything the gateway shall do. clusters: ready replicas (`host:port`) by name of cluster."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    clusters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def path_of(endpoint: str) -> str:
    """`/risk/fraud-eu` of projects/risk/endpoints/fraud-eu."""
    _, project, _, id_ = endpoint.split("/")
    return f"/{project}/{id_}"


def endpoint_of(cluster: str) -> str:
    """projects/risk/endpoints/fraud-eu of risk_fraud-eu_fraud_3."""
    project, id_, *_ = cluster.split("_")
    return f"projects/{project}/endpoints/{id_}"


def cluster_of(endpoint: str, version: str) -> str:
    """`risk_fraud-eu_fraud_3`: ids have no underscore, so no pairs share a name; and no dot, where statistics cut."""
    _, project, _, id_ = endpoint.split("/")
    _, _, _, model, _, number = version.split("/")
    return f"{project}_{id_}_{model}_{number}"


def route_configuration(table: Table) -> dict[str, Any]:
    """RDS: one prefix an endpoint, cut off before the replica sees the path."""
    http = {name: _route(route) for name, route in sorted(table.routes.items())}
    routes = [*grpc.routes(http), *http.values()]
    host = {"name": "endpoints", "domains": ["*"], "routes": [*routes, _answer("/", 404, "no such endpoint")]}
    host["request_headers_to_remove"] = ["x-envoy-expected-rq-timeout-ms", SHADOW_HEADER]
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": "endpoints",
        "virtual_hosts": [host],
        # Clusters always arrive first; a route that names an unknown one must not be rejected with all the others.
        "validate_clusters": False,
    }


def _route(route: Route) -> dict[str, Any]:
    noted = {"policy": json_format.MessageToJson(route.policy, indent=None)} if route.policy.ListFields() else {}
    metadata = {"metadata": {"filter_metadata": {_NOTES: noted}}} if noted else {}
    if not route.weights:
        return _answer(route.prefix, 503, "no version serves this endpoint") | metadata
    weighted = [{"name": name, "weight": weight} for name, weight in sorted(route.weights.items())]
    action: dict[str, Any] = {"prefix_rewrite": "/", "weighted_clusters": {"clusters": weighted}}
    if policies.is_sticky(route.policy):
        # Without this only the replica would be chosen by who asks, and the version anew for each request.
        action["weighted_clusters"]["use_hash_policy"] = True
    if mirrors := [_mirror(name, percent) for name, percent in sorted(route.mirrors.items()) if percent > 0]:
        action["request_mirror_policies"] = mirrors
    written = {
        "match": {"prefix": route.prefix},
        "route": action | policies.of_route(route.policy, path_of(route.endpoint)),
    }
    if filters := policies.filters_of_route(route.policy):
        written["typed_per_filter_config"] = filters
    return written | metadata


def _mirror(name: str, percent: float) -> dict[str, Any]:
    """A copy says that it is one in a header that callers cannot set: a host ending in `-shadow`, as Envoy writes it,

    they could, and with it hide what they were answered from monitoring.
    """
    share = {"numerator": round(percent * _MILLIONTHS), "denominator": "MILLION"}
    said = {"append": {"header": {"key": SHADOW_HEADER, "value": "1"}}}
    return {"cluster": name, "runtime_fraction": {"default_value": share}, "request_headers_mutations": [said]}


def read_route(endpoint: str, written: Mapping[str, Any]) -> Route:
    """The route that `route_configuration` wrote as this; what others changed in it shows in what it says."""
    action = written.get("route", {})
    noted = written.get("metadata", {}).get("filter_metadata", {}).get(_NOTES, {})
    weighted = action.get("weighted_clusters", {}).get("clusters", [])
    mirrors = {
        one["cluster"]: one["runtime_fraction"]["default_value"]["numerator"] / _MILLIONTHS
        for one in action.get("request_mirror_policies", [])
    }
    policy = json_format.Parse(noted.get("policy", "{}"), TrafficPolicy())
    return Route(endpoint, {one["name"]: one["weight"] for one in weighted}, mirrors=mirrors, policy=policy)


def _answer(prefix: str, status: int, text: str) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "direct_response": {"status": status, "body": {"inline_string": text}}}


def cluster(name: str, addresses: Iterable[str], policy: TrafficPolicy | None = None) -> dict[str, Any]:
    """CDS: one cluster with its ready replicas, each asked by the protocol whether it is ready."""
    return {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": f"{_CONNECT_SECONDS}s",
        "load_assignment": load_assignment(name, addresses),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        # Without this a cluster whose few replicas are unhealthy would be served by them all the same.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    } | policies.of_cluster(policy or TrafficPolicy())


def load_assignment(name: str, addresses: Iterable[str]) -> dict[str, Any]:
    """The ready replicas of one cluster, in an order that says nothing."""
    replicas = [{"endpoint": {"address": socket_of(address)}} for address in sorted(addresses)]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": replicas}]}


def addresses_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """The replicas of a cluster as `cluster` wrote it."""
    (locality,) = written["load_assignment"]["endpoints"]
    return tuple(address_of(one["endpoint"]["address"]) for one in locality["lb_endpoints"])


def address_of(written: Mapping[str, Any]) -> str:
    """`host:port` of an address as Envoy writes it."""
    socket = written["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"


def discovery(version: str, resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A DiscoveryResponse, as Envoy reads it from a file."""
    return {"version_info": version, "resources": resources}


def socket_of(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
