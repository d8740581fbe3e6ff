"""What a pod is seen to be. Pure."""

from typing import Any

from services.deployment.drivers.kubernetes.manifests.pod import PORT
from services.deployment.drivers.kubernetes.names import Manifest
from services.deployment.drivers.port import Key, Replica, State
from services.deployment.inference.order import ARTIFACT_REFUSED, MODEL_REFUSED

_FINAL = (ARTIFACT_REFUSED, MODEL_REFUSED)
# Waiting for one of these is the way of every pod; whatever else it waits for is somebody's trouble.
_ON_ITS_WAY = ("", "PodInitializing", "ContainerCreating")
_MOST_SIGNS = 500


def replica_of(pod: Manifest, key: Key, *, kept: bool) -> Replica:
    """kept: what keeps its pods is still there; without it the pod goes, whether or not it knows already."""
    meta, status = pod["metadata"], pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    restarts = sum(int(one.get("restartCount", 0)) for one in containers)
    address = f"{status['podIP']}:{PORT}" if status.get("podIP") else ""
    state, problem, artifact = _state(status, containers)
    if meta.get("deletionTimestamp") or not kept:
        state, problem, artifact = State.STOPPING, "", False
    run = f"{meta.get('uid', '')}/{restarts}"
    return Replica(meta["name"], key, state, address, problem[:_MOST_SIGNS], artifact, run, restarts)


def _state(status: dict[str, Any], containers: list[dict[str, Any]]) -> tuple[State, str, bool]:
    for one in containers:
        ended = _ended(one)
        if ended and ended.get("exitCode") in _FINAL:
            return State.REFUSED, str(ended.get("message") or "refused").strip(), ended["exitCode"] == ARTIFACT_REFUSED
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return State.READY, "", False
    for one in containers:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _ON_ITS_WAY:
            ended = _ended(one) or {}
            why = ended.get("message") or waiting.get("message") or ""
            again = f", ended {one.get('restartCount', 0)} times" if one.get("restartCount") else ""
            return State.DOWN, f"{waiting['reason']}{again}: {str(why).strip()}", False
    if status.get("phase") in ("Failed", "Succeeded"):
        return State.DOWN, f"{status['phase']}: {status.get('message') or status.get('reason') or ''}", False
    scheduled = conditions.get("PodScheduled", {})
    problem = str(scheduled.get("message") or "") if scheduled.get("status") == "False" else ""
    return State.STARTING, problem, False


def problem_of(keeper: Manifest) -> str:
    """Why what keeps pods makes none, in the cluster's words; empty when it says nothing."""
    for condition in (keeper.get("status") or {}).get("conditions") or ():
        failed = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        stuck = condition["type"] in ("Progressing", "Ready", "PredictorReady") and condition["status"] == "False"
        if failed or stuck:
            return str(condition.get("message") or condition.get("reason") or "")[:_MOST_SIGNS]
    return ""


def _ended(container: dict[str, Any]) -> dict[str, Any] | None:
    """How the container ended, now or the last time."""
    for when in ("state", "lastState"):
        if ended := (container.get(when) or {}).get("terminated"):
            found: dict[str, Any] = ended
            return found
    return None
