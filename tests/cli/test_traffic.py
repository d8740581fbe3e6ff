"""How an endpoint's requests are treated, said in options."""

from typing import Any

from google.protobuf import json_format

from modelog.cli.failures import USAGE
from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from tests.cli.line import CommandLine


def parsed(**fields: Any) -> TrafficPolicy:
    return json_format.ParseDict(fields, TrafficPolicy())


def test_a_policy_is_changed_in_parts(line: CommandLine, project: str) -> None:
    line("environments", "define", project, "lab", "--admit", "testing")
    line("endpoints", "create", project, "eu", f"{project}/lab", "--policy", '{"timeout": "9s"}')
    name = f"{project}/eu"
    assert "say what to change" in line("endpoints", "update", name, expect=USAGE).err

    def policy() -> object:
        return json_format.ParseDict(line.json("endpoints", "get", name)["trafficPolicy"], TrafficPolicy())

    assert policy() == parsed(timeout="9s")
    line("endpoints", "update", name, "--retries", "0", "--sticky-cookie", "modelog", "--cookie-ttl", "1h")
    sticky = {"cookie": {"name": "modelog", "ttl": "3600s"}}
    assert policy() == parsed(timeout="9s", retries={}, sticky_sessions=sticky)
    line("endpoints", "update", name, "--retries", "2", "--retry-on", "gateway-error", "--clear", "timeout")
    retries = {"attempts": 2, "on": ["RETRY_ON_GATEWAY_ERROR"]}
    assert policy() == parsed(retries=retries, sticky_sessions=sticky)
    both = line("endpoints", "update", name, "--request-timeout", "1s", "--clear", "timeout", expect=USAGE).err
    assert "given a value at the same time" in both
    line("endpoints", "update", name, "--policy", '{"maxRequestBytes": 1000}')
    assert policy() == parsed(max_request_bytes=1000)
    line(
        "endpoints",
        "update",
        name,
        "--request-timeout",
        "1s",
        "--per-try-timeout",
        "2s",
        "--retries",
        "1",
        expect=USAGE,
    )
    line("endpoints", "remove", name)
