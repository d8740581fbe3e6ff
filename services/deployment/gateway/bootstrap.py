"""What Envoy starts with: the listener with its filters, and where the files of the rest are. Pure."""

from typing import Any

from services.deployment.gateway import grpc
from services.deployment.gateway import policy as policies
from services.deployment.gateway.config import BUFFER_BYTES, LATENCY_BOUNDS_MS, TYPE, socket_of

_MOST_CONNECTIONS = 10_000


def bootstrap(*, folder: str, listen: str, admin: str) -> dict[str, Any]:
    """What Envoy starts with: the listener, and where the files of the rest are."""
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_timeout": f"{policies.REQUEST_SECONDS:g}s",
        "common_http_protocol_options": {"idle_timeout": "300s", "headers_with_underscores_action": "REJECT_REQUEST"},
        # Whatever Envoy itself answers has the form of the protocol's errors.
        "local_reply_config": {"body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}},
        "rds": {"route_config_name": "endpoints", "config_source": _file(f"{folder}/routes.json")},
        "http_filters": [_buffer(), grpc.statistics(), _router()],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": "gateway",
        "address": socket_of(listen),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": filters}],
    }
    bounds = [float(one) for one in LATENCY_BOUNDS_MS]
    return {
        "node": {"id": "modelog", "cluster": "modelog"},
        "admin": {"address": socket_of(admin)},
        # Counters are exact at any moment; histograms are brought together this often.
        "stats_flush_interval": "1s",
        "stats_config": {"histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": bounds}]},
        "overload_manager": {"resource_monitors": [_most_connections()]},
        "static_resources": {"listeners": [listener]},
        "dynamic_resources": {"cds_config": _file(f"{folder}/clusters.json")},
    }


def _buffer() -> dict[str, Any]:
    """Only for routes that limit the size of their requests."""
    kind = f"{TYPE}.extensions.filters.http.buffer.v3.Buffer"
    return {
        "name": policies.BUFFER,
        "disabled": True,
        "typed_config": {"@type": kind, "max_request_bytes": BUFFER_BYTES},
    }


def _router() -> dict[str, Any]:
    kind = f"{TYPE}.extensions.filters.http.router.v3.Router"
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": kind}}


def _most_connections() -> dict[str, Any]:
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"{TYPE}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": _MOST_CONNECTIONS,
        },
    }


def _file(path: str) -> dict[str, Any]:
    return {"resource_api_version": "V3", "path_config_source": {"path": path}}
