"""Tags: free labels, the same on models and on versions."""

from typing import Any

from kernel.errors import NotAllowedNow
from modelog.registry.v1 import events_pb2 as facts

_MOST_TAGS = 64


def set_tag(resource: Any, *, key: str, value: str) -> facts.TagSet | None:
    """`resource` exists and carries `tags`."""
    if key in resource.tags:
        if resource.tags[key] == value:
            return None
    elif len(resource.tags) >= _MOST_TAGS:
        raise NotAllowedNow("TOO_MANY_TAGS", f"{resource.name} has {_MOST_TAGS} tags; remove one first")
    return facts.TagSet(key=key, value=value)


def remove_tag(resource: Any, *, key: str) -> facts.TagRemoved | None:
    return facts.TagRemoved(key=key) if key in resource.tags else None


def fold_given(resource: Any, event: Any) -> None:
    """What a resource came with: its tags, and where it was before, if it was anywhere."""
    resource.tags.MergeFrom(event.tags)
    if event.HasField("origin"):
        resource.origin.CopyFrom(event.origin)


def fold_tag_set(resource: Any, event: facts.TagSet) -> None:
    resource.tags[event.key] = event.value


def fold_tag_removed(resource: Any, event: facts.TagRemoved) -> None:
    resource.tags.pop(event.key, None)
