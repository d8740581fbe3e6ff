"""A traffic policy in Envoy's words. Pure; whatever the policy leaves open is decided here and nowhere else."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1.traffic_pb2 import (
    RETRY_ON_GATEWAY_ERROR,
    RETRY_ON_NO_ANSWER,
    RETRY_ON_SERVER_ERROR,
    OutlierEjection,
    TrafficPolicy,
)

_TYPE = "type.googleapis.com/envoy"
BUFFER = "envoy.filters.http.buffer"
REQUEST_SECONDS = 30.0
_ATTEMPTS = 2
_MOST_RETRIES = 100
_EJECTION_ERRORS = 5
_EJECTION_PERCENT = 50
# A ring has many places of one replica side by side, so a retry looks longer for another one than in turn.
_TRIES_FOR_ANOTHER = {False: "5", True: "20"}
_RETRY_ON = {
    RETRY_ON_NO_ANSWER: "connect-failure,refused-stream,reset",
    RETRY_ON_GATEWAY_ERROR: "gateway-error",
    RETRY_ON_SERVER_ERROR: "5xx",
}


def of_route(policy: TrafficPolicy, path: str) -> dict[str, Any]:
    """What a policy adds to the action of a route. path: of the endpoint, which its cookie is for."""
    action: dict[str, Any] = {"timeout": _seconds(policy, "timeout", REQUEST_SECONDS)}
    if (retry := _retry(policy)) is not None:
        action["retry_policy"] = retry
    match policy.sticky_sessions.WhichOneof("by"):
        case "header":
            action["hash_policy"] = [{"header": {"header_name": policy.sticky_sessions.header}}]
        case "cookie":
            cookie = policy.sticky_sessions.cookie
            given = {"name": cookie.name, "ttl": _seconds(cookie, "ttl", 0.0), "path": path}
            action["hash_policy"] = [{"cookie": given | {"attributes": [{"name": "HttpOnly"}]}}]
    return action


def filters_of_route(policy: TrafficPolicy) -> dict[str, Any]:
    """What a policy changes in the filters that a route's requests go through."""
    if not policy.max_request_bytes:
        return {}
    kind = f"{_TYPE}.extensions.filters.http.buffer.v3.BufferPerRoute"
    return {BUFFER: {"@type": kind, "buffer": {"max_request_bytes": policy.max_request_bytes}}}


def is_sticky(policy: TrafficPolicy) -> bool:
    return policy.HasField("sticky_sessions")


def _retry(policy: TrafficPolicy) -> dict[str, Any] | None:
    """A model only computes, so unless the policy says otherwise a request that got no answer is sent once more."""
    given = policy.retries
    attempts = given.attempts if policy.HasField("retries") else _ATTEMPTS
    if attempts == 0:
        return None
    another = f"{_TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    retry: dict[str, Any] = {
        "retry_on": ",".join(_RETRY_ON[one] for one in sorted(given.on) or (RETRY_ON_NO_ANSWER,)),
        "num_retries": attempts,
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": another}}
        ],
        "host_selection_retry_max_attempts": _TRIES_FOR_ANOTHER[is_sticky(policy)],
    }
    if given.HasField("per_try_timeout"):
        retry["per_try_timeout"] = _seconds(given, "per_try_timeout", 0.0)
    return retry


def of_cluster(policy: TrafficPolicy) -> dict[str, Any]:
    """What a policy says of the clusters of its endpoint."""
    checks, limits = policy.health_checks, policy.limits
    interval = _seconds(checks, "interval", 2.0)
    threshold = {
        name: getattr(limits, name)
        for name in ("max_connections", "max_pending_requests", "max_requests")
        if getattr(limits, name)
    }
    threshold["max_retries"] = limits.max_retries or _MOST_RETRIES
    cluster: dict[str, Any] = {
        # In turn, not to the least busy one: a replica that has just died is never busy, and retries would go to it.
        "lb_policy": "RING_HASH" if is_sticky(policy) else "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [threshold]},
        "health_checks": [
            {
                "timeout": _seconds(checks, "timeout", 2.0),
                "interval": interval,
                "no_traffic_interval": interval if checks.HasField("interval") else "1s",
                "unhealthy_threshold": checks.unhealthy_threshold or 2,
                "healthy_threshold": checks.healthy_threshold or 1,
                "http_health_check": {"path": "/v2/health/ready"},
            }
        ],
    }
    if policy.HasField("outlier_ejection"):
        cluster["outlier_detection"] = _outliers(policy.outlier_ejection)
    return cluster


def _outliers(given: OutlierEjection) -> dict[str, Any]:
    """Consecutive errors only: what Envoy would judge by statistics over many hosts stays off."""
    server, gateway = given.consecutive_server_errors, given.consecutive_gateway_errors
    if not server and not gateway:
        gateway = _EJECTION_ERRORS
    base = _seconds(given, "base_ejection_time", 30.0)
    return {
        "consecutive_5xx": server or _EJECTION_ERRORS,
        "enforcing_consecutive_5xx": 100 if server else 0,
        "consecutive_gateway_failure": gateway or _EJECTION_ERRORS,
        "enforcing_consecutive_gateway_failure": 100 if gateway else 0,
        "enforcing_success_rate": 0,
        "max_ejection_percent": given.max_ejection_percent or _EJECTION_PERCENT,
        "base_ejection_time": base,
        # Envoy never ejects for longer than this, so it may not be shorter than the first time.
        "max_ejection_time": _longer(base, 300.0),
        "interval": _seconds(given, "interval", 1.0),
    }


def _longer(text: str, seconds: float) -> str:
    return text if float(text[:-1]) > seconds else _text(seconds)


def _seconds(message: Any, field: str, default: float) -> str:
    """A duration as Envoy reads it, to the millisecond."""
    if not message.HasField(field):
        return _text(default)
    given: Duration = getattr(message, field)
    return _text(given.ToMilliseconds() / 1000)


def _text(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
