"""What the API fills in by itself, as far as it could be mistaken for somebody's change."""

from typing import Any

Object = dict[str, Any]


def complete(kind: str, live: Object) -> None:
    """Defaults of the kinds that are used here, and quantities in their canonical form."""
    spec = live.get("spec")
    if not isinstance(spec, dict):
        return
    if kind == "Deployment":
        spec.setdefault("replicas", 1)
        spec.setdefault("progressDeadlineSeconds", 600)
        spec.setdefault("revisionHistoryLimit", 10)
        _pod(spec.get("template", {}).get("spec", {}))
    elif kind == "Service":
        spec.setdefault("clusterIP", "10.96.0.10")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    elif kind == "Pod":
        _pod(spec)
    elif kind == "InferenceService":
        _pod(spec.get("predictor", {}))


def _pod(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    for container in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe].setdefault("successThreshold", 1)
        for amounts in container.get("resources", {}).values():
            for name, amount in amounts.items():
                amounts[name] = canonical(amount)


def canonical(amount: str) -> str:
    """1000m is 1, 1024Mi is 1Gi."""
    for unit, factor, larger in (("m", 1000, ""), ("Mi", 1024, "Gi")):
        if amount.endswith(unit) and int(amount.removesuffix(unit)) % factor == 0:
            return f"{int(amount.removesuffix(unit)) // factor}{larger}"
    return amount
