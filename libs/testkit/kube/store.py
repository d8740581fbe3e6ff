"""Objects with revisions, generations and owners, and everything that has happened to them for those who watch."""

import copy
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from testkit.kube.defaults import complete
from testkit.kube.fields import Conflict, Object, Owners


@dataclass(frozen=True)
class Resource:
    """A kind as the API has it: `apps/v1`, `Deployment`, `deployments`."""

    group_version: str
    kind: str
    plural: str

    @property
    def base(self) -> str:
        return f"/api/{self.group_version}" if "/" not in self.group_version else f"/apis/{self.group_version}"


class Status(Exception):
    """An answer other than OK, as the API says it."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body: Object = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        self.body |= {"reason": reason, "message": message, "metadata": {}}
        if details:
            self.body["details"] = details


@dataclass
class Event:
    """One change. before: the object before it, None when it was made by it."""

    revision: int
    resource: Resource
    namespace: str
    after: Object | None
    before: Object | None


Id = tuple[str, str, str]


@dataclass
class Store:
    """Everything of a cluster. Every write gets the next revision of all; compaction forgets the oldest events."""

    revision: int = 100
    objects: dict[Id, Object] = field(default_factory=dict)
    owners: dict[Id, Owners] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    oldest: int = 100
    listeners: list[Any] = field(default_factory=list)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        try:
            return self.objects[resource.plural, namespace, name]
        except KeyError:
            raise Status(404, "NotFound", f'{resource.plural} "{name}" not found') from None

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self.objects.get((resource.plural, namespace, name))

    def select(self, plural: str, namespace: str = "", selector: str = "") -> list[Object]:
        """Objects of a kind by name; of all namespaces when none is named."""
        return [
            live
            for (kind, space, _), live in sorted(self.objects.items())
            if kind == plural and space == (namespace or space) and matches(selector, live)
        ]

    def create(self, resource: Resource, namespace: str, wanted: Object, manager: str) -> Object:
        name = wanted["metadata"].get("name", "")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
            raise Status(422, "Invalid", f"metadata.name: Invalid value: {name!r}")
        if self.find(resource, namespace, name) is not None:
            raise Status(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
        after = {**copy.deepcopy(wanted), "apiVersion": resource.group_version, "kind": resource.kind}
        after.pop("status", None)
        self.owners[resource.plural, namespace, name] = Owners()
        self.owners[resource.plural, namespace, name].update(manager, {}, after)
        return self._write(resource, namespace, name, after)

    def apply(
        self, resource: Resource, namespace: str, name: str, wanted: Object, manager: str, *, force: bool, dry: bool
    ) -> Object:
        if "managedFields" in wanted.get("metadata", {}):
            raise Status(400, "BadRequest", "metadata.managedFields must be nil")
        if wanted.get("kind") != resource.kind or wanted.get("apiVersion") != resource.group_version:
            raise Status(400, "BadRequest", "apiVersion and kind have to be those of the path")
        key = resource.plural, namespace, name
        live = self.objects.get(key) or {"metadata": {"name": name, "namespace": namespace}}
        owners = copy.deepcopy(self.owners.get(key) or Owners())
        try:
            after = owners.apply(manager, live, wanted, force=force)
        except Conflict as conflict:
            causes = [
                {"reason": "FieldManagerConflict", "field": ".".join(path), "message": f'conflict with "{other}"'}
                for other, path in conflict.owned
            ]
            text = f"Apply failed with {len(causes)} conflict(s): {conflict}"
            raise Status(409, "Conflict", text, causes=causes) from conflict
        if dry:
            return after
        self.owners[key] = owners
        return self._write(resource, namespace, name, after)

    def replace(self, resource: Resource, namespace: str, name: str, wanted: Object, manager: str) -> Object:
        live = self.get(resource, namespace, name)
        asked = wanted["metadata"].get("resourceVersion")
        if asked and asked != live["metadata"]["resourceVersion"]:
            raise Status(409, "Conflict", f'{resource.plural} "{name}": the object has been modified')
        after = copy.deepcopy(wanted)
        after["status"] = copy.deepcopy(live.get("status"))
        if after["status"] is None:
            del after["status"]
        self.owners[resource.plural, namespace, name].update(manager, live, after)
        return self._write(resource, namespace, name, after)

    def patch(self, resource: Resource, namespace: str, name: str, wanted: Object, manager: str) -> Object:
        """A JSON merge patch."""
        live = self.get(resource, namespace, name)
        after = merge_patch(copy.deepcopy(live), wanted)
        return self.replace(resource, namespace, name, after, manager)

    def set_status(self, resource: Resource, namespace: str, name: str, status: Object) -> Object:
        """The subresource: nothing but the status changes, and no generation."""
        live = self.get(resource, namespace, name)
        if live.get("status") == status:
            return live
        return self._write(resource, namespace, name, {**copy.deepcopy(live), "status": copy.deepcopy(status)})

    def mark_deleted(self, resource: Resource, namespace: str, name: str, grace_seconds: int) -> Object:
        """The object goes, but not yet."""
        live = copy.deepcopy(self.get(resource, namespace, name))
        if live["metadata"].get("deletionTimestamp"):
            return live
        live["metadata"]["deletionTimestamp"] = _now()
        live["metadata"]["deletionGracePeriodSeconds"] = grace_seconds
        return self._write(resource, namespace, name, live)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str = "") -> Object:
        live = self.get(resource, namespace, name)
        if uid and uid != live["metadata"]["uid"]:
            raise Status(409, "Conflict", f"Precondition failed: UID in precondition: {uid}")
        del self.objects[resource.plural, namespace, name]
        del self.owners[resource.plural, namespace, name]
        self.revision += 1
        gone = copy.deepcopy(live)
        gone["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(Event(self.revision, resource, namespace, None, gone))
        return gone

    def _write(self, resource: Resource, namespace: str, name: str, after: Object) -> Object:
        key = resource.plural, namespace, name
        before = self.objects.get(key)
        complete(resource.kind, after)
        meta = after["metadata"]
        meta["name"], meta["namespace"] = name, namespace
        known = (
            before["metadata"] if before else {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 0}
        )
        for one in ("uid", "creationTimestamp", "generation"):
            meta[one] = known[one]
        if before is None or _spec(before) != _spec(after):
            meta["generation"] += 1
        meta["managedFields"] = self.owners[key].shown()
        meta["resourceVersion"] = known.get("resourceVersion", "")
        if before == after:
            return before
        self.revision += 1
        meta["resourceVersion"] = str(self.revision)
        self.objects[key] = after
        self._tell(Event(self.revision, resource, namespace, after, before))
        return after

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        for listener in self.listeners:
            listener.set()

    def since(self, revision: int) -> Iterator[Event]:
        """What happened after a revision. Status 410 when that is not known any more."""
        if revision < self.oldest:
            raise Status(410, "Expired", f"too old resource version: {revision} ({self.oldest})")
        for event in self.events:
            if event.revision > revision:
                yield event

    def compact(self) -> None:
        """Forgets what happened up to now."""
        self.events.clear()
        self.oldest = self.revision


def _spec(live: Object) -> Object:
    return {name: value for name, value in live.items() if name not in ("metadata", "status")}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(selector: str, live: Object | None) -> bool:
    """Equality selectors, joined by commas."""
    if live is None:
        return False
    labels = live["metadata"].get("labels") or {}
    wanted = dict(one.split("=", 1) for one in selector.split(",") if one)
    return all(labels.get(name) == value for name, value in wanted.items())


def merge_patch(live: Object, patch: Object) -> Object:
    """RFC 7396."""
    for name, value in patch.items():
        if value is None:
            live.pop(name, None)
        elif isinstance(value, dict) and isinstance(live.get(name), dict):
            merge_patch(live[name], value)
        else:
            live[name] = copy.deepcopy(value)
    return live
