"""The little of a cluster that moves by itself: pods of Deployments become ready or fail, routes are accepted.

There are no ReplicaSets between a Deployment and its pods, and no nodes: pods live as long as what owns them.
"""

import copy
import hashlib
import itertools
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from testkit.kube.fields import Object
from testkit.kube.store import Resource, Store

POD = Resource("v1", "Pod", "pods")
SERVICE = Resource("v1", "Service", "services")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
INFERENCE_SERVICE = Resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
HTTP_ROUTE = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
_MANAGER = "kube-controller-manager"


@dataclass(frozen=True)
class Failure:
    """How the pods of a workload fail. init: before the container that serves has begun. reason: what it waits for."""

    exit_code: int = 1
    message: str = ""
    init: bool = False
    reason: str = "CrashLoopBackOff"


@dataclass
class Controllers:
    """failing: by name of the Deployment or InferenceService. judge: looks at a pod before it may start.

    Tests set these while the cluster runs.
    """

    store: Store
    ready_seconds: float = 0.05
    grace_seconds: float = 0.1
    failing: dict[str, Failure] = field(default_factory=dict)
    judge: Callable[[Object], Failure | None] = lambda _pod: None
    gateway_accepts: bool = True
    clock: Callable[[], float] = time.monotonic
    logs: dict[str, str] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _addresses: Any = field(default_factory=lambda: itertools.count(1))

    def step(self) -> None:
        """Everything moves on as far as it can by now."""
        self._scale()
        for resource in (DEPLOYMENT, INFERENCE_SERVICE):
            for live in self.store.select(resource.plural):
                self._keep(resource, live)
        self._collect()
        for pod in self.store.select("pods"):
            self._live(pod)
        for route in self.store.select("httproutes"):
            self._accept(route)

    def _scale(self) -> None:
        for scaler in self.store.select("horizontalpodautoscalers"):
            meta, spec = scaler["metadata"], scaler["spec"]
            target = self.store.find(DEPLOYMENT, meta["namespace"], spec["scaleTargetRef"]["name"])
            if target is None or not 0 < target["spec"]["replicas"] < spec["minReplicas"]:
                continue
            scaled = {"spec": {"replicas": spec["minReplicas"]}}
            self.store.patch(DEPLOYMENT, meta["namespace"], target["metadata"]["name"], scaled, _MANAGER)

    def _keep(self, resource: Resource, live: Object) -> None:
        """So many pods as are asked for, of the template of now; an old pod goes when a new one is ready."""
        meta = live["metadata"]
        template, number, prefix = _asked(resource, live)
        revision = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        pods = [
            pod
            for pod in self.store.select("pods", meta["namespace"])
            if _owned(pod, meta["uid"]) and not pod["metadata"].get("deletionTimestamp")
        ]
        new = [pod for pod in pods if pod["metadata"]["labels"].get("pod-template-hash") == revision]
        old = [pod for pod in pods if pod not in new]
        for _ in range(number - len(new)):
            self._make(resource, meta, template, f"{prefix}-{revision}", revision)
        for pod in [*new[number:], *(old if sum(map(ready, new)) >= number else ())]:
            self.end(pod)
        if resource is INFERENCE_SERVICE and self.store.find(SERVICE, meta["namespace"], prefix) is None:
            owner = {
                "apiVersion": resource.group_version,
                "kind": resource.kind,
                "name": meta["name"],
                "uid": meta["uid"],
            }
            service = {"metadata": {"name": prefix, "ownerReferences": [owner]}, "spec": {"ports": [{"port": 80}]}}
            self.store.create(SERVICE, meta["namespace"], service, "kserve")
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "readyReplicas": sum(map(ready, new)),
        }
        self.store.set_status(resource, meta["namespace"], meta["name"], status)

    def _make(self, resource: Resource, owner: Object, template: Object, prefix: str, revision: str) -> None:
        labels = {**template["metadata"].get("labels", {}), "pod-template-hash": revision}
        meta = {
            "name": f"{prefix}-{secrets.token_hex(3)}",
            "labels": labels,
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [_reference(resource, owner)],
        }
        pod = {"metadata": meta, "spec": copy.deepcopy(template["spec"])}
        self.store.create(POD, owner["namespace"], pod, _MANAGER)

    def _collect(self) -> None:
        """Pods without the object that owned them end, and so does a Service that KServe had made."""
        known = {live["metadata"]["uid"] for live in self.store.objects.values()}
        for service in self.store.select("services"):
            meta = service["metadata"]
            if any(one["uid"] not in known for one in meta.get("ownerReferences") or ()):
                self.store.delete(SERVICE, meta["namespace"], meta["name"])
        for pod in self.store.select("pods"):
            owners = pod["metadata"].get("ownerReferences") or ()
            if owners and not any(one["uid"] in known for one in owners):
                self.end(pod)

    def end(self, pod: Object) -> None:
        """The pod gets its grace to answer what it is answering."""
        meta = pod["metadata"]
        if not meta.get("deletionTimestamp"):
            self._since[meta["uid"] + "/end"] = self.clock()
            self.store.mark_deleted(POD, meta["namespace"], meta["name"], max(int(self.grace_seconds), 1))

    def _live(self, pod: Object) -> None:
        meta, now = pod["metadata"], self.clock()
        space, name, uid = meta["namespace"], meta["name"], meta["uid"]
        if meta.get("deletionTimestamp"):
            if now - self._since.setdefault(f"{uid}/end", now) >= self.grace_seconds:
                self.store.delete(POD, space, name)
            return
        since = self._since.setdefault(uid, now)
        owner = (meta.get("ownerReferences") or [{}])[0].get("name", "")
        failure = self.failing.get(owner)
        status = pod.get("status") or {"phase": "Pending"}
        if failure is None and now - since >= self.ready_seconds and not ready(pod):
            failure = self.judge(pod)
        if failure is not None:
            self.store.set_status(POD, space, name, _failed(pod, status, failure))
        elif now - since >= self.ready_seconds:
            self.store.set_status(POD, space, name, _running(pod, status, f"10.0.0.{next(self._addresses) % 250 + 1}"))
        else:
            self.store.set_status(POD, space, name, status)

    def _accept(self, route: Object) -> None:
        meta = route["metadata"]
        if not self.gateway_accepts:
            return
        condition = {
            "type": "Accepted",
            "status": "True",
            "reason": "Accepted",
            "observedGeneration": meta["generation"],
            "message": "",
            "lastTransitionTime": meta["creationTimestamp"],
        }
        parents = [
            {"parentRef": one, "controllerName": "testkit/gateway", "conditions": [condition]}
            for one in route["spec"]["parentRefs"]
        ]
        self.store.set_status(HTTP_ROUTE, meta["namespace"], meta["name"], {"parents": parents})


def _asked(resource: Resource, live: Object) -> tuple[Object, int, str]:
    """(template of the pods, how many, what their names begin with)."""
    name = live["metadata"]["name"]
    if resource is DEPLOYMENT:
        return live["spec"]["template"], live["spec"]["replicas"], name
    predictor = dict(live["spec"]["predictor"])
    for own in ("maxReplicas", "scaleMetric", "scaleTarget"):
        predictor.pop(own, None)
    number = predictor.pop("minReplicas", 1)
    meta = {one: predictor.pop(one, {}) for one in ("labels", "annotations")}
    return {"metadata": meta, "spec": predictor}, number, f"{name}-predictor"


def _reference(resource: Resource, owner: Object) -> Object:
    known = {"name": owner["name"], "uid": owner["uid"]}
    return {"apiVersion": resource.group_version, "kind": resource.kind, **known}


def _owned(pod: Object, uid: str) -> bool:
    return any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences") or ())


def ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _running(pod: Object, status: Object, address: str) -> Object:
    if ready(pod):
        return status
    serving = {"name": pod["spec"]["containers"][0]["name"], "ready": True, "restartCount": 0, "state": {"running": {}}}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]
    return {"phase": "Running", "podIP": address, "conditions": conditions, "containerStatuses": [serving]}


def _failed(pod: Object, status: Object, failure: Failure) -> Object:
    field_name = "initContainerStatuses" if failure.init else "containerStatuses"
    known = (status.get(field_name) or [{}])[0].get("restartCount", 0)
    containers = (pod["spec"].get("initContainers") if failure.init else None) or pod["spec"]["containers"]
    broken: Object = {
        "name": containers[0]["name"],
        "ready": False,
        "restartCount": max(known, 1),
        "state": {"waiting": {"reason": failure.reason, "message": failure.message}},
    }
    if failure.reason == "CrashLoopBackOff":
        broken["lastState"] = {"terminated": {"exitCode": failure.exit_code, "message": failure.message}}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
    return {"phase": "Pending" if failure.init else "Running", "conditions": conditions, field_name: [broken]}
