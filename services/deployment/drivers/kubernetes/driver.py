"""Replicas as pods of a cluster: for each version on an endpoint one Deployment or InferenceService, and its company.

Nothing is remembered that matters: names follow from the key, and what is there is read from the cluster.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.deployment.drivers.kubernetes.errors import Refused
from services.deployment.drivers.kubernetes.kinds import AROUND, KEEPERS, OF_VERSIONS, POD, ApiKind
from services.deployment.drivers.kubernetes.manifests import BadArtifact, objects_of
from services.deployment.drivers.kubernetes.names import WORKLOAD, Manifest, key_of, name_of
from services.deployment.drivers.kubernetes.options import options_of
from services.deployment.drivers.kubernetes.pods import problem_of, replica_of
from services.deployment.drivers.kubernetes.world import World
from services.deployment.drivers.port import LOG_BYTES, Change, Key, PlatformAway, Replica, State, Workload

# Its pods are its own; they end when it goes.
_ENDS_WITH_PODS = AROUND[0]


class KubernetesDriver:
    """The driver `kubernetes`. Settings of an environment: see domain/driver_settings.py."""

    def __init__(self, world: World) -> None:
        self._world = world
        # What the cluster or we ourselves would not have: tried again at each turn, and shown until it works.
        self._problems: dict[Key, tuple[State, str]] = {}
        self._built: dict[Key, tuple[Workload, list[Manifest]]] = {}

    async def plan(self, wanted: Iterable[Workload]) -> Sequence[Change]:
        await self._world.look()
        changes, kept = [], set()
        for workload in wanted:
            for manifest in self._objects(workload):
                kept.add(_id(manifest))
                if change := self._world.change(manifest):
                    changes.append(change)
        for kind, live in self._ours():
            if (kind.name, live["metadata"]["namespace"], live["metadata"]["name"]) not in kept:
                changes.append(Change("stop", f"{kind.name} {live['metadata']['name']}"))
        return changes

    async def apply(self, workload: Workload) -> Sequence[Change]:
        await self._world.look()
        key = workload.key
        changes: list[Change] = []
        try:
            manifests = self._objects(workload)
            for manifest in manifests:
                changes.extend(await self._world.ensure(manifest))
            kept = {_id(manifest) for manifest in manifests}
            for kind, live in list(self._ours(key)):
                surplus = (kind.name, live["metadata"]["namespace"], live["metadata"]["name"]) not in kept
                if surplus and kind not in KEEPERS:  # The autoscaler of an environment that scales no longer.
                    await self._world.delete(kind, live)
        except BadArtifact as bad:
            self._problems[key] = (State.REFUSED, str(bad))
        except Refused as refused:
            self._problems[key] = (State.DOWN, f"the cluster refuses it: {refused}")
        else:
            self._problems.pop(key, None)
        return changes

    async def observe(self) -> Sequence[Replica]:
        await self._world.look()
        kept = {live["metadata"]["name"] for _, live in self._world.all(*KEEPERS)}
        replicas = []
        for _, pod in self._world.all(POD):
            if (key := key_of(pod["metadata"])) is not None:
                replicas.append(replica_of(pod, key, kept=name_of(key) in kept))
        with_pods = {replica.key for replica in replicas}
        for key, remains in self._remains(with_pods).items():
            replicas.append(self._without_pods(key, remains))
        return replicas

    def _remains(self, with_pods: set[Key]) -> dict[Key, list[tuple[ApiKind, Manifest]]]:
        """What there is of keys that have no pods; nothing of those that could not even be begun."""
        remains: dict[Key, list[tuple[ApiKind, Manifest]]] = {key: [] for key in self._problems.keys() - with_pods}
        for kind, live in self._ours():
            if (key := key_of(live["metadata"])) is not None and key not in with_pods:
                remains.setdefault(key, []).append((kind, live))
        return remains

    def _without_pods(self, key: Key, remains: list[tuple[ApiKind, Manifest]]) -> Replica:
        """Stands for a key that has no pods: what is in its way, or what is left of it."""
        kept = [live for kind, live in remains if kind in KEEPERS]
        kinds = ", ".join(sorted(kind.name for kind, _ in remains))
        why = next((text for text in map(problem_of, kept) if text), f"no pod yet; there is {kinds}")
        state, problem = self._problems.get(key, (State.STARTING if kept else State.DOWN, why))
        return Replica(name_of(key), key, state, problem=problem, artifact=state is State.REFUSED)

    async def drain(self, key: Key) -> None:
        """Takes away what keeps the pods; each then has its grace to answer what it is answering."""
        await self._world.look()
        for kind, live in list(self._ours(key)):
            if (kind in KEEPERS or kind is _ENDS_WITH_PODS) and not live["metadata"].get("deletionTimestamp"):
                await self._world.delete(kind, live)

    async def remove(self, key: Key) -> None:
        await self.drain(key)
        if any(_of(pod, key) for _, pod in self._world.all(POD)):
            return
        for kind, live in list(self._ours(key)):
            if kind not in KEEPERS and not live["metadata"].get("deletionTimestamp"):
                await self._world.delete(kind, live)
        self._problems.pop(key, None)
        self._built.pop(key, None)

    async def logs(self, key: Key) -> Mapping[str, str]:
        await self._world.look()
        pods = [pod for _, pod in self._world.all(POD) if _of(pod, key)]
        texts = await asyncio.gather(*(self._log(pod) for pod in pods))
        return {pod["metadata"]["name"]: text for pod, text in zip(pods, texts, strict=True)}

    async def _log(self, pod: Manifest) -> str:
        """Of the container that serves; of the one that brings the artifact as long as the other has said nothing."""
        spec: dict[str, Any] = pod["spec"]
        for container in (*spec["containers"], *(spec.get("initContainers") or ())):
            name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
            if text := await self._world.api.log(space, name, container["name"], LOG_BYTES):
                return text
        return ""

    async def close(self) -> None:
        await self._world.close()

    def _objects(self, workload: Workload) -> list[Manifest]:
        installation = self._world.installation
        before = self._built.get(workload.key)
        if before is not None and before[0] == workload:
            return before[1]
        options = options_of(workload.settings, installation)
        if options.namespace not in installation.namespaces:
            raise PlatformAway(f"{options.namespace} is none of MODELOG_KUBERNETES_NAMESPACES")
        manifests = objects_of(workload, options, installation)
        self._built[workload.key] = workload, manifests
        return manifests

    def _ours(self, key: Key | None = None) -> Iterable[tuple[ApiKind, Manifest]]:
        if key is None:
            return self._world.all(*OF_VERSIONS)
        return self._world.named(name_of(key), *OF_VERSIONS)


def _of(live: Manifest, key: Key) -> bool:
    return bool((live["metadata"].get("labels") or {}).get(WORKLOAD) == name_of(key))


def _id(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
