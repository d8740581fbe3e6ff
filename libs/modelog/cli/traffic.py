"""`modelog endpoints update`: how an endpoint's requests are treated."""

from typing import Any

import click

from modelog.cli.state import State
from modelog.cli.verbs import arg, opt, verb

_POLICY = "traffic_policy"
_GROUPS = ("timeout", "retries", "sticky_sessions", "outlier_ejection", "health_checks", "max_request_bytes", "limits")
_CLEAR = click.Option(
    ["--clear"],
    multiple=True,
    type=click.Choice([one.replace("_", "-") for one in _GROUPS]),
    help="Leave this to the gateway again.",
)


def _mask(_state: State, request: Any, values: dict[str, Any]) -> None:
    """Names the groups that were typed: each is replaced as a whole, the others stay."""
    typed = {key.split("__")[1] for key, value in values.items() if key.startswith(f"{_POLICY}__") and _given(value)}
    cleared = {name.replace("-", "_") for name in values["clear"]}
    if both := sorted(typed & cleared):
        raise click.UsageError(f"--clear {both[0].replace('_', '-')}: it is given a value at the same time")
    whole = [_POLICY] if values[_POLICY] is not None else []
    del request.update_mask.paths[:]
    request.update_mask.paths.extend(whole or [f"{_POLICY}.{name}" for name in _GROUPS if name in typed | cleared])


def _given(value: Any) -> bool:
    return value is not None and value != ()


def _policy(path: str, text: str, flag: str = "") -> Any:
    return opt(f"{_POLICY}.{path}", text, flag=flag)


UPDATE = verb(
    "update",
    "deployment.UpdateEndpoint",
    "Change how its requests are treated; what is not named stays.",
    arg("name", "endpoint"),
    opt(_POLICY, "A whole TrafficPolicy as JSON, in place of the present one.", flag="--policy"),
    _policy("timeout", "How long a caller waits at most; then the answer is 504.", "--request-timeout"),
    _policy("retries.attempts", "How often a request is sent again; 0 never.", "--retries"),
    _policy("retries.per_try_timeout", "How long one try may take."),
    _policy("retries.on", "After what.", "--retry-on"),
    _policy("sticky_sessions.header", "Callers with the same value of it stay where they are.", "--sticky-header"),
    _policy("sticky_sessions.cookie.name", "Callers get this cookie and stay where they are.", "--sticky-cookie"),
    _policy("sticky_sessions.cookie.ttl", "How long they keep it; their session.", "--cookie-ttl"),
    _policy("outlier_ejection.consecutive_server_errors", "Leave a replica alone after so many 5xx.", "--eject-after"),
    _policy(
        "outlier_ejection.consecutive_gateway_errors",
        "Leave a replica alone after so many of 502, 503, 504 or no answer.",
        "--eject-after-gateway-errors",
    ),
    _policy("outlier_ejection.max_ejection_percent", "At most this share of the replicas; 50.", "--eject-at-most"),
    _policy("outlier_ejection.base_ejection_time", "For how long the first time; 30s.", "--eject-for"),
    _policy("health_checks.interval", "How often replicas are asked whether they are ready.", "--health-interval"),
    _policy("health_checks.timeout", "How long they may take to say so.", "--health-timeout"),
    _policy("max_request_bytes", "Longer requests are answered with 413."),
    _policy("limits.max_connections", "Connections to the replicas of a version."),
    _policy("limits.max_pending_requests", "Requests that wait for a connection.", "--max-pending"),
    _policy("limits.max_requests", "Requests under way; above, the answer is 503."),
    extra=[_CLEAR],
    prepare=_mask,
)
