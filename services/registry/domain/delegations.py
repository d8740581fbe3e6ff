"""Delegation of reviews: somebody answers in somebody else's place for a while, and every record says so.

It goes one step: what B may answer in A's place, B cannot pass on, for a review names the one in whose place it is
given, and only what that one delegated to this reviewer counts.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from access.people import PERSON, people
from kernel.errors import Denied, NotAllowedNow, NotFound, invalid_field
from modelog.registry.v1 import governance_events_pb2 as facts
from modelog.registry.v1.types_pb2 import Project, ReviewDelegation, ReviewKind
from services.registry.domain.access import NOWHERE
from services.registry.domain.delegated import over
from services.registry.domain.project import present

MOST_DELEGATIONS = 100
_LONGEST = timedelta(days=90)


def delegate_reviews(
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    delegate: str,
    kind: ReviewKind,
    model: str,
    expire_time: Timestamp,
    actors: Sequence[str],
    now: datetime,
) -> facts.ReviewDelegated | None:
    """From person to person, in person: an account can neither give its judgement away nor lend one."""
    present(project)
    if len(actors) > 1 or not actors[0].startswith(PERSON) or not delegate.startswith(PERSON):
        raise Denied("DELEGATE_IN_PERSON", f"{actors[0]} and {delegate} have to be people who act for nobody else")
    if delegate in people(actors, project, everywhere):
        raise Denied("SELF_DELEGATION", f"{delegate} reviews for themselves anyway; name somebody else")
    if model and not model.startswith(f"{project.name}/models/"):
        raise invalid_field("model", f"{model} is not a model of {project.name}", "OTHER_PROJECT")
    until = expire_time.ToDatetime(now.tzinfo)
    if not now < until <= now + _LONGEST:
        raise invalid_field("expire_time", "name a moment within the next 90 days", "NOT_WITHIN_90_DAYS")
    running = [one for one in project.delegations if not over(one, now)]
    if any(same(one, actors[0], delegate, kind, model, expire_time) for one in running):
        return None
    if len(running) >= MOST_DELEGATIONS:
        raise NotAllowedNow("TOO_MANY_DELEGATIONS", f"{project.name} has {MOST_DELEGATIONS}; end one first")
    number = project.delegation_count + 1
    return facts.ReviewDelegated(number=number, delegate=delegate, kind=kind, model=model, expire_time=expire_time)


def end_delegation(project: Project, *, delegation: int, actors: Sequence[str]) -> facts.DelegationEnded | None:
    """Both sides may: whoever gave it away takes it back, whoever got it gives it back."""
    present(project)
    known = next((one for one in project.delegations if one.number == delegation), None)
    if known is None:
        if 1 <= delegation <= project.delegation_count:
            return None
        raise NotFound("DELEGATION_NOT_FOUND", f"{project.name} knows no delegation {delegation}")
    if actors[0] not in (known.delegated_by, known.delegate):
        raise Denied("NOT_YOUR_OWN", f"{known.delegated_by} or {known.delegate} may end delegation {delegation}")
    return facts.DelegationEnded(number=delegation)


def same(one: ReviewDelegation, by: str, delegate: str, kind: ReviewKind, model: str, expire_time: Timestamp) -> bool:
    parties = (one.delegated_by, one.delegate) == (by, delegate)
    return parties and (one.kind, one.model) == (kind, model) and one.expire_time == expire_time
