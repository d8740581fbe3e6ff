"""Traffic policies decided, folded, said to Envoy, and read back."""

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import Invalid
from modelog.deployment.v1 import traffic_events_pb2 as facts
from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from modelog.deployment.v1.types_pb2 import Environment
from services.deployment.domain.endpoint import change_policy, create
from services.deployment.domain.policy import masked
from services.deployment.domain.quota import Room
from services.deployment.gateway import grpc
from services.deployment.gateway.__main__ import executable
from services.deployment.gateway.config import Route, Table, endpoint_of, read_route, route_configuration
from services.deployment.gateway.drift import routes_of
from services.deployment.gateway.files import Files
from tests.deployment.build import ENDPOINT_NAME, endpoint, environment

PROCESS = environment().state
KUBERNETES = Environment(name=PROCESS.name, driver="kubernetes")
ONE, TWO = "risk_fraud-eu_fraud_1", "risk_fraud-eu_fraud_2"


def policy(**fields: Any) -> TrafficPolicy:
    return json_format.ParseDict(fields, TrafficPolicy())


RETRIES = {"attempts": 3, "per_try_timeout": "0.5s", "on": ["RETRY_ON_NO_ANSWER", "RETRY_ON_SERVER_ERROR"]}
FULL = policy(
    timeout="5s",
    retries=RETRIES,
    sticky_sessions={"cookie": {"name": "modelog", "ttl": "3600s"}},
    outlier_ejection={"consecutive_server_errors": 3, "max_ejection_percent": 100, "base_ejection_time": "600s"},
    health_checks={"interval": "1s", "timeout": "0.5s", "unhealthy_threshold": 3, "healthy_threshold": 2},
    max_request_bytes=1000,
    limits={"max_connections": 10, "max_pending_requests": 20, "max_requests": 30, "max_retries": 4},
)


def test_only_what_the_mask_names_changes() -> None:
    before = endpoint(facts.EndpointPolicyChanged(traffic_policy=policy(timeout="5s", max_request_bytes=1000)))
    before.when(
        change_policy, PROCESS, given=policy(timeout="9s", retries={"attempts": 0}), fields=("timeout", "limits")
    ).then(facts.EndpointPolicyChanged(traffic_policy=policy(timeout="9s", max_request_bytes=1000)))


def test_a_masked_field_that_is_absent_is_cleared() -> None:
    before = endpoint(facts.EndpointPolicyChanged(traffic_policy=policy(timeout="5s", max_request_bytes=1000)))
    cleared = facts.EndpointPolicyChanged(traffic_policy=policy(max_request_bytes=1000))
    before.when(change_policy, PROCESS, given=policy(), fields=("timeout",)).then(cleared)


def test_the_same_policy_again_is_nothing_new() -> None:
    before = endpoint(facts.EndpointPolicyChanged(traffic_policy=FULL))
    before.when(change_policy, PROCESS, given=FULL, fields=masked(["traffic_policy"])).then_nothing()


def test_where_the_gateway_is_somebody_else_s_there_is_no_policy() -> None:
    endpoint().when(change_policy, KUBERNETES, given=FULL, fields=masked(["*"])).then_refused("POLICY_NOT_SUPPORTED")


def test_one_try_is_no_longer_than_all_of_them() -> None:
    for given_ in (policy(timeout="1s", retries={"per_try_timeout": "2s"}), policy(retries={"per_try_timeout": "31s"})):
        endpoint().when(change_policy, PROCESS, given=given_, fields=masked(["*"])).then_refused("INVALID_REQUEST")


def test_an_endpoint_is_made_with_a_policy() -> None:
    with pytest.raises(Exception, match="not modelog's"):
        create(
            endpoint().state.__class__(), KUBERNETES, description="", address="", replicas=1, others=Room(), policy=FULL
        )
    made = create(
        endpoint().state.__class__(), PROCESS, description="", address="", replicas=1, others=Room(), policy=FULL
    )
    assert made.traffic_policy == FULL


@pytest.mark.parametrize("paths", [[], ["timeout"], ["traffic_policy.nothing"], ["description"]])
def test_masks_name_fields_of_the_policy(paths: list[str]) -> None:
    with pytest.raises(Invalid):
        masked(paths)


def test_masks() -> None:
    assert masked(["traffic_policy.retries", "traffic_policy.timeout"]) == ("timeout", "retries")
    assert len(masked(["traffic_policy"])) == len(masked(["*"])) == len(TrafficPolicy.DESCRIPTOR.fields)


def durations(most: float) -> st.SearchStrategy[str]:
    return st.integers(100, int(most * 1000)).map(lambda ms: f"{ms / 1000:.3f}s")


RETRY_ON = ("RETRY_ON_NO_ANSWER", "RETRY_ON_GATEWAY_ERROR", "RETRY_ON_SERVER_ERROR")
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "timeout": durations(240),
        "retries": st.fixed_dictionaries(
            {"attempts": st.integers(0, 10)},
            optional={"per_try_timeout": durations(240), "on": st.lists(st.sampled_from(RETRY_ON), unique=True)},
        ),
        "sticky_sessions": st.sampled_from([{"header": "x-customer"}, {"cookie": {"name": "c"}}]),
        "outlier_ejection": st.fixed_dictionaries(
            {},
            optional={
                "consecutive_server_errors": st.integers(0, 1000),
                "consecutive_gateway_errors": st.integers(0, 1000),
                "max_ejection_percent": st.integers(0, 100),
                "base_ejection_time": durations(3600),
                "interval": durations(60),
            },
        ),
        "health_checks": st.fixed_dictionaries({}, optional={"interval": durations(60), "timeout": durations(60)}),
        "max_request_bytes": st.integers(0, 1 << 24),
        "limits": st.fixed_dictionaries({}, optional={"max_requests": st.integers(0, 100_000)}),
    },
).map(lambda fields: policy(**fields))
MIRRORS = st.dictionaries(st.sampled_from([ONE, TWO]), st.sampled_from([0.5, 12.34, 100.0]), max_size=2)


@given(POLICIES, MIRRORS, st.integers(1, 99))
def test_a_written_route_is_read_as_it_was(policy_: TrafficPolicy, mirrors: dict[str, float], percent: int) -> None:
    route = Route(ENDPOINT_NAME, {ONE: percent, TWO: 100 - percent}, mirrors=mirrors, policy=policy_)
    text = json.dumps({"resources": [route_configuration(Table({ENDPOINT_NAME: route}))]})
    assert read_route(ENDPOINT_NAME, routes_of(text)[ENDPOINT_NAME]) == route


def validated(folder: Path, policies: list[TrafficPolicy], mirrors: dict[str, float]) -> None:
    """Envoy's own opinion of everything that is written for these policies, an endpoint each."""
    files = Files(folder)
    bootstrap = json.loads(files.prepare(listen="127.0.0.1:1", admin="127.0.0.1:2").read_text())
    routes, clusters = {}, {}
    for number, one in enumerate(policies):
        name = f"projects/risk/endpoints/e{number}"
        names = {f"risk_e{number}_fraud_{version}": version * 30 for version in (1, 2)}
        to = {f"risk_e{number}_fraud_{cluster[-1]}": percent for cluster, percent in mirrors.items()}
        routes[name] = Route(name, names | {f"risk_e{number}_fraud_3": 10}, mirrors=to, policy=one)
        clusters.update(dict.fromkeys(grpc.with_beside(routes[name].clusters), routes[name].policy))
    replicas = dict.fromkeys(clusters, ("127.0.0.1:3", "127.0.0.1:4"))
    files.write_clusters(replicas, {endpoint_of(name): one for name, one in clusters.items()})
    # What comes by discovery is not validated with the rest, so it is put where it is.
    bodies = {path.stem: json.loads(path.read_text())["resources"] for path in folder.glob("*s.json")}
    files.write_routes(routes)
    (body,) = json.loads((folder / "routes.json").read_text())["resources"]
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"], bootstrap["dynamic_resources"]
    manager["route_config"] = _plain(body) | {"validate_clusters": True}
    bootstrap["static_resources"]["clusters"] = [_plain(one) for one in bodies["clusters"]]
    whole = folder / "whole.json"
    whole.write_text(json.dumps(bootstrap))
    command = [executable(), "--mode", "validate", "--config-path", str(whole), "--log-level", "warning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout, done.stderr


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "@type"}


def test_envoy_takes_every_part_of_a_policy_and_all_pairs(tmp_path: Path) -> None:
    fields = [field.name for field in TrafficPolicy.DESCRIPTOR.fields]
    policies = [policy(), FULL, policy(sticky_sessions={"header": "x-customer"})]
    for some in itertools.chain(itertools.combinations(fields, 1), itertools.combinations(fields, 2)):
        one = TrafficPolicy()
        for name in some:
            value = getattr(FULL, name)
            setattr(one, name, value) if isinstance(value, int) else getattr(one, name).CopyFrom(value)
        policies.append(one)
    validated(tmp_path, policies, {ONE: 0.01, TWO: 100.0})


@settings(max_examples=3, deadline=None)  # Each starts an Envoy.
@given(st.lists(POLICIES, min_size=12, max_size=12), MIRRORS)
def test_envoy_takes_any_policy(
    tmp_path_factory: pytest.TempPathFactory, policies: list[TrafficPolicy], mirrors: dict[str, float]
) -> None:
    validated(tmp_path_factory.mktemp("any"), policies, mirrors)
