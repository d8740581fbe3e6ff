"""Manifests: nothing misspelt, nothing unsafe, nothing that differs from one time to the next."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.resources import apps_v1, autoscaling_v2, core_v1, networking_v1, policy_v1

from services.deployment.drivers.kubernetes import kinds
from services.deployment.drivers.kubernetes.compare import change_of
from services.deployment.drivers.kubernetes.manifests import BadArtifact, objects_of
from services.deployment.drivers.kubernetes.names import APPLIED, workload_name
from services.deployment.drivers.kubernetes.options import options_of
from services.deployment.drivers.port import Change
from services.deployment.gitops import yaml as as_yaml
from services.deployment.inference.bring import bring, main
from services.deployment.inference.order import ArtifactRefused, from_json
from testkit.kube.store import merge_patch
from tests.deployment.drivers.manifest_cases import FULL, PLAIN, QUIET, SHA, TALKING, cases, workload

CASES = list(cases())
# Their fields are those of the published OpenAPI of Kubernetes.
BUILT_IN: dict[str, Any] = {
    "apps/v1 Deployment": apps_v1.Deployment,
    "v1 Service": core_v1.Service,
    "autoscaling/v2 HorizontalPodAutoscaler": autoscaling_v2.HorizontalPodAutoscaler,
    "policy/v1 PodDisruptionBudget": policy_v1.PodDisruptionBudget,
    "networking.k8s.io/v1 NetworkPolicy": networking_v1.NetworkPolicy,
}


def by_kind(case: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in case}


def pod_of(case: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = by_kind(case)
    if "Deployment" in kinds:
        spec: dict[str, Any] = kinds["Deployment"]["spec"]["template"]["spec"]
    else:
        spec = kinds["InferenceService"]["spec"]["predictor"]
    return spec


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_field_is_one_that_the_api_knows(number: int) -> None:
    """A field that the published types do not have is lost when a manifest goes through them."""
    checked = 0
    for manifest in CASES[number]:
        known = BUILT_IN.get(f"{manifest['apiVersion']} {manifest['kind']}")
        if known is not None:
            assert known.from_dict(manifest).to_dict() == manifest
            checked += 1
    assert checked >= 2


def test_misspelt_fields_would_be_found() -> None:
    manifest = json.loads(json.dumps(by_kind(CASES[0])["Deployment"]))
    manifest["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert apps_v1.Deployment.from_dict(manifest).to_dict() != manifest


@pytest.mark.parametrize("number", range(len(CASES)))
def test_names_and_labels_fit(number: int) -> None:
    for manifest in CASES[number]:
        meta = manifest["metadata"]
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?", meta["name"]), meta["name"]
        for value in meta["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value), value


@pytest.mark.parametrize("number", range(len(CASES)))
def test_pods_may_do_nothing_but_serve(number: int) -> None:
    pod = pod_of(CASES[number])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod["initContainers"], *pod["containers"]):
        locked = container["securityContext"]
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    policy = by_kind(CASES[number])["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


def test_secrets_are_named_and_never_shown() -> None:
    text = json.dumps(CASES)
    assert '"secretName": "inference"' in text
    order = from_json(pod_of(CASES[4])["containers"][0]["command"][3])
    assert order.nats_password_file == "/run/nats/password"
    assert (order.sha256, order.host, order.port) == (SHA, "0.0.0.0", 8080)
    assert not any("valueFrom" in json.dumps(one) or '"env"' in json.dumps(one) for one in CASES)


def test_pods_are_told_only_what_is_said() -> None:
    """So that a field with a default, added later, starts no pod anew and is no riddle to an older image."""
    told = json.loads(pod_of(CASES[0])["containers"][0]["command"][3])
    assert "lease_seconds" not in told
    assert from_json(json.dumps(told)).threads == 1
    assert json.loads(pod_of(CASES[4])["containers"][0]["command"][3])["threads"] == 2


def test_the_role_allows_what_is_done_and_no_more() -> None:
    role, _ = yaml.safe_load_all(Path("deploy/kubernetes/role.yaml").read_text())
    allowed = {(rule["apiGroups"][0], one): set(rule["verbs"]) for rule in role["rules"] for one in rule["resources"]}
    writes = {"list", "watch", "create", "patch", "delete"}
    wanted = {}
    for kind in kinds.ALL:
        group = kind.path.split("/")[1] if kind.path.startswith("apis/") else ""
        wanted[group, kind.plural] = {"list", "watch"} if kind is kinds.POD else writes
    assert allowed == wanted | {("", "pods/log"): {"get"}}


def test_one_owner_for_the_number_of_pods() -> None:
    fixed, scaled = by_kind(CASES[0]), by_kind(CASES[4])
    assert fixed["Deployment"]["spec"]["replicas"] == 1
    assert "HorizontalPodAutoscaler" not in fixed
    assert "replicas" not in scaled["Deployment"]["spec"]
    assert scaled["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 2


def test_names_tell_versions_apart() -> None:
    names = {workload_name(one) for one in ("risk_a-b_c_1", "risk_a_b-c_1", "risk-a_b_c_1", "risk_a-b_c_11")}
    assert len(names) == 4


def test_text_for_gitops_is_read_as_what_was_meant() -> None:
    for case in CASES:
        for manifest in case:
            assert yaml.safe_load(as_yaml(manifest)) == manifest
    tricky = {
        "a": ["no", "1", "1e3", "", "null", "~", "- x", "a: b", "é\n", " x", "0x1f", "2026-01-01"],
        "b": [{}, [], [1, [2]]],
    }
    assert yaml.safe_load(as_yaml(tricky)) == tricky
    assert as_yaml(CASES[0][0]) == as_yaml(next(cases())[0])


@pytest.mark.parametrize(
    ("uri", "sha256"),
    [("cas:sha256/" + "cd" * 32, SHA), ("file:///etc/passwd", SHA), (f"cas:sha256/{SHA}", "../../etc"), ("", "")],
)
def test_what_cannot_be_the_approved_artifact_gets_no_pod(uri: str, sha256: str) -> None:
    given = workload(PLAIN)
    wrong = type(given)(given.key, 1, uri, sha256, "onnx", settings=PLAIN)
    with pytest.raises(BadArtifact):
        objects_of(wrong, options_of(PLAIN, QUIET), QUIET)


def test_drift_is_what_differs_in_our_fields_only() -> None:
    manifest = by_kind(CASES[4])["Deployment"]
    live = json.loads(json.dumps(manifest))
    assert change_of(manifest, live) is None
    live["metadata"]["annotations"]["theirs"] = "x"
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "mesh", "image": "m"})
    live["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"]["memory"] = "2048Mi"
    live["spec"]["replicas"] = 4
    assert change_of(manifest, live) is None
    live["spec"]["template"]["spec"]["containers"][1]["image"] = "evil"
    change = change_of(manifest, live)
    assert change == Change(
        "repair",
        f"Deployment {manifest['metadata']['name']}",
        "spec.template.spec.containers[model].image is evil",
    )
    merge_patch(live, {"metadata": {"annotations": {APPLIED: "older"}}})
    assert (change_of(manifest, live) or change).verb == "replace"
    assert change_of(manifest, None) == Change("start", f"Deployment {manifest['metadata']['name']}")


def test_settings_become_what_they_say() -> None:
    options = options_of(FULL, TALKING)
    assert (options.namespace, options.gateway) == ("models-eu", ("models-eu", "public"))
    assert options_of(PLAIN, QUIET).gateway == ("infra", "public")
    alone = options_of({**PLAIN, "memory_limit": "3Gi"}, QUIET)
    assert (alone.memory_request, alone.memory_limit) == ("3Gi", "3Gi")


def test_only_the_approved_bytes_are_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, target = b"x" * 3_000_000, tmp_path / "artifact"
    source = tmp_path / "source"
    source.write_bytes(content)
    digest = __import__("hashlib").sha256(content).hexdigest()
    assert bring(str(source), digest, target) == len(content)
    assert target.read_bytes() == content
    target.unlink()
    for wrong in (SHA, digest[:-1] + ("0" if digest[-1] != "0" else "1")):
        with pytest.raises(ArtifactRefused, match="was approved"):
            bring(str(source), wrong, target)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["source"]
    monkeypatch.setattr("sys.argv", ["bring", str(tmp_path / "missing"), digest, str(target)])
    assert main() == 3
    monkeypatch.setattr("sys.argv", ["bring", "http://127.0.0.1:9/x", digest, str(target)])
    assert main() == 1
