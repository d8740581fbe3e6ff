"""A legal hold over resources of one project, and over the versions that meet its query."""

from collections.abc import Sequence

from google.protobuf.message import Message

from kernel.errors import AlreadyExists, NotFound, UnknownFact, invalid_field
from kernel.names import NUMBER_PATTERN, check_id
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from modelog.log.v1.fact_pb2 import Fact
from services.archive.domain.choosing import check_filter


def place(
    hold: types.Hold, *, project: str, resources: Sequence[str], title: str, authority: str, query: str = ""
) -> Message | None:
    """Puts resources of the project under a hold; each name stands for itself and everything below it.

    query: a filter; whatever versions of the project meet it, now or later, are held too.
    """
    if hold.name:
        raise AlreadyExists("HOLD_EXISTS", f"{hold.name} exists; holds are never changed: place another one")
    if not resources and not query:
        raise invalid_field("resources", "name resources, or say by a query which versions are meant", "REQUIRED")
    check_filter(query, "query")
    for number, resource in enumerate(resources):
        check_resource(resource, project, f"resources[{number}]")
    return facts.HoldPlaced(resources=sorted(resources), title=title, authority=authority, query=query)


def release(hold: types.Hold) -> Message | None:
    if not hold.name:
        raise NotFound("HOLD_NOT_FOUND", "there is no such hold")
    if hold.state == types.HOLD_STATE_RELEASED:
        return None
    return facts.HoldReleased()


def covers(hold: types.Hold, resource: str) -> bool:
    """Whether an active hold names this resource, or one above it."""
    return hold.state == types.HOLD_STATE_ACTIVE and bool(covering(hold, resource))


def covering(hold: types.Hold, resource: str) -> str:
    """The name in the hold that means this resource, whether it is active or not; empty when there is none."""
    return next((held for held in hold.resources if resource == held or resource.startswith(held + "/")), "")


def check_resource(resource: str, project: str, field: str) -> None:
    if resource != project and not resource.startswith(project + "/"):
        raise invalid_field(field, f"{resource!r} does not belong to {project}", "OTHER_PROJECT")
    parts = resource.split("/")
    if len(parts) % 2:
        raise invalid_field(field, f"{resource!r} is not a resource name", "NAME_FORMAT")
    for part in parts[1::2]:
        if not NUMBER_PATTERN.fullmatch(part):
            check_id(part, field)


def evolve_hold(hold: types.Hold, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.HoldPlaced():
            hold.resources[:] = fact.resources
            hold.title = fact.title
            hold.authority = fact.authority
            hold.query = fact.query
            hold.state = types.HOLD_STATE_ACTIVE
            hold.placed_by = envelope.actor.id
        case facts.HoldReleased():
            hold.state = types.HOLD_STATE_RELEASED
            hold.released_by = envelope.actor.id
            hold.release_time.CopyFrom(envelope.recorded_at)
        case _:
            raise UnknownFact(fact)
