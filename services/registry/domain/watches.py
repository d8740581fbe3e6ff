"""Watches: what one principal wants to hear of in a project."""

import hashlib

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact
from kernel.names import child, project_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1.collaboration_pb2 import Watch, WatchSetting

_MOST_WATCHES = 200
_DIGITS = 40


def watch_name(resource: str, principal: str) -> str:
    """Where a principal's watches in the project of a resource are kept.

    Under a digest: a principal's id may be a mail address, which is no id of a resource.
    """
    return child(project_of(resource), "watches", hashlib.sha256(principal.encode()).hexdigest()[:_DIGITS])


def set_watch(
    watch: Watch, watched: Message, *, resource: str, principal: str, setting: WatchSetting
) -> facts.WatchSet | None:
    """`watched`: the state of `resource`."""
    if not watched.name:  # type: ignore[attr-defined]
        raise NotFound("RESOURCE_NOT_FOUND", f"there is no {resource} to watch", metadata={"resource": resource})
    if resource in watch.settings:
        if watch.settings[resource] == setting:
            return None
    elif len(watch.settings) >= _MOST_WATCHES:
        raise NotAllowedNow("TOO_MANY_WATCHES", f"{principal} watches {_MOST_WATCHES} already; watch the whole project")
    return facts.WatchSet(principal=principal, resource=resource, setting=setting)


def remove_watch(watch: Watch, *, resource: str) -> facts.WatchRemoved | None:
    return facts.WatchRemoved(resource=resource) if resource in watch.settings else None


def evolve_watch(watch: Watch, event: Message, _envelope: Fact) -> None:
    match event:
        case facts.WatchSet():
            watch.principal = event.principal
            watch.settings[event.resource].CopyFrom(event.setting)
        case facts.WatchRemoved():
            watch.settings.pop(event.resource, None)
        case _:
            raise UnknownFact(event)
