"""The difference that each fact made: the resource before and after it, field by field.

The states come from the service that owns the resource, read as of the fact's revision and of the one before it, so
they are what its readers saw, and the caller needs the right to read the resource besides the right to read history.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf import json_format

from modelog.sdk.errors import Refused
from modelog.type.v1.read_pb2 import ReadOptions

# Collection: where one of it is read (stub of the client, package, file of the request, message).
_READERS = {
    "projects": ("registry", "registry", "registry_service", "Project"),
    "models": ("registry", "registry", "registry_service", "Model"),
    "versions": ("registry", "registry", "registry_service", "Version"),
    "threads": ("collaboration", "registry", "collaboration_service", "Thread"),
    "webhooks": ("webhooks", "registry", "webhook_service", "Webhook"),
    "environments": ("deployment", "deployment", "deployment_service", "Environment"),
    "endpoints": ("deployment", "deployment", "deployment_service", "Endpoint"),
    "rollouts": ("deployment", "deployment", "deployment_service", "Rollout"),
    "monitors": ("monitoring", "monitoring", "monitoring_service", "Monitor"),
    "alerts": ("monitoring", "monitoring", "monitoring_service", "Alert"),
    "silences": ("monitoring", "monitoring", "alerts", "Silence"),
    "retrainings": ("monitoring", "monitoring", "monitoring_service", "Retraining"),
    "retirements": ("monitoring", "monitoring", "retrainings", "Retirement"),
    "records": ("archive", "archive", "archive_service", "Record"),
    "holds": ("archive", "archive", "archive_service", "Hold"),
    "erasures": ("erasures", "archive", "erasure_service", "Erasure"),
    "retentions": ("retentions", "archive", "retention_service", "Retention"),
    "subscriptions": ("subscriptions", "archive", "subscription_service", "Subscription"),
}
_HEADER = frozenset({"generation", "revision", "update_time"})


class Change(NamedTuple):
    """One field by its dotted path; before and after as JSON has them, empty where it was not set."""

    path: str
    before: str
    after: str


class Changed(NamedTuple):
    """One fact, as GetHistory answers it, and what it changed; None where nobody can read such a resource."""

    entry: Any
    fields: list[Change] | None


def changes_of(client: Any, entries: Iterable[Any]) -> Iterator[Changed]:
    """For each entry of a history, of one resource or of several; `client`: a connected SyncClient."""
    known: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in entries:
        name = entry.fact.resource
        if not name or name.split("/")[-2] not in _READERS:
            yield Changed(entry, None)
            continue
        first = entry.fact.generation == 1
        before = (
            {} if first else known.get((name, entry.fact.generation - 1)) or _state(client, name, entry.revision - 1)
        )
        after = _state(client, name, entry.revision)
        known[name, entry.fact.generation] = after
        yield Changed(entry, differences(before, after))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The fields in which two states of a resource differ, as JSON has them, by path; without the kernel's counters."""
    was, became = _fields(before), _fields(after)
    paths = sorted(path for path in was.keys() | became.keys() if was.get(path) != became.get(path))
    return [Change(path, was.get(path, ""), became.get(path, "")) for path in paths]


def _fields(state: Mapping[str, Any]) -> dict[str, str]:
    return dict(_flat("", {key: value for key, value in state.items() if key not in _HEADER}))


def _state(client: Any, name: str, revision: int) -> dict[str, Any]:
    """The resource as it was at a revision, as JSON has it; empty when it did not exist."""
    stub, package, file, message = _READERS[name.split("/")[-2]]
    module = importlib.import_module(f"modelog.{package}.v1.{file}_pb2")
    request = getattr(module, f"Get{message}Request")(name=name, read=ReadOptions(as_of_revision=revision))
    try:
        state = getattr(getattr(client, stub), f"Get{message}")(request)
    except Refused as refused:
        if refused.reason.endswith("_NOT_FOUND"):
            return {}
        raise
    return json_format.MessageToDict(state, preserving_proto_field_name=True)


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for place, inner in enumerate(value):
            yield from _flat(f"{path}[{place}]", inner)
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)
