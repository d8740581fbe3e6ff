"""Emergencies: a role taken without being granted it, for an hour at most, and what somebody else says of it later."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from access.fold import MOST_EMERGENCIES
from access.matrix import NEVER_IN_EMERGENCIES, NOT_IN_EMERGENCIES
from access.people import PERSON, people
from kernel.errors import Denied, NotAllowedNow, NotFound, invalid_field
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Emergency, Project
from services.registry.domain.access import NOWHERE, Access, known_role
from services.registry.domain.project import present

_REVIEWED_WITHIN = timedelta(hours=24)
_LONGEST = timedelta(hours=1)


def declare_emergency(
    project: Project, *, actors: Sequence[str], role: str, duration: timedelta, reason: str, now: datetime
) -> facts.EmergencyDeclared:
    """A person takes a role in person: a job cannot judge that something does not wait, nor can it be asked later."""
    present(project)
    if not reason.strip():
        raise invalid_field("reason", "say why it cannot wait; somebody will review it", "NO_REASON")
    if not timedelta() < duration <= _LONGEST:
        raise invalid_field("duration", "at most an hour", "TOO_LONG")
    if len(actors) > 1 or not actors[0].startswith(PERSON):
        raise Denied("EMERGENCY_IN_PERSON", f"{actors[0]} has to be a person who acts for nobody else")
    _check_role(project, role)
    for one in project.emergencies:
        if one.principal == actors[0] and not one.reviewed_by and one.expire_time.ToDatetime(now.tzinfo) > now:
            raise NotAllowedNow(
                "EMERGENCY_RUNNING",
                f"{actors[0]} holds {one.role} until {one.expire_time.ToJsonString()} by emergency {one.number}",
                metadata={"emergency": str(one.number)},
            )
    if sum(not one.reviewed_by for one in project.emergencies) >= MOST_EMERGENCIES:
        raise NotAllowedNow("TOO_MANY_EMERGENCIES", f"{MOST_EMERGENCIES} emergencies wait for their review; do that")
    expire = Timestamp()
    expire.FromDatetime(now + duration)
    number = max((one.number for one in project.emergencies), default=0) + 1
    return facts.EmergencyDeclared(number=number, role=role, expire_time=expire)


def _check_role(project: Project, role: str) -> None:
    if not known_role(project, role):
        raise NotFound("ROLE_NOT_FOUND", f"there is no role {role!r} in {project.name}")
    own = project.role_definitions[role].permissions if role in project.role_definitions else ()
    if role in NOT_IN_EMERGENCIES or not NEVER_IN_EMERGENCIES.isdisjoint(own):
        raise Denied("NOT_IN_EMERGENCIES", f"{role} is never taken in an emergency; take deployer or operator")


def review_emergency(
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    actors: Sequence[str],
    emergency: int,
    justified: bool,
    comment: str,
) -> facts.EmergencyReviewed | None:
    present(project)
    known = next((one for one in project.emergencies if one.number == emergency), None)
    if known is None:
        raise NotFound("EMERGENCY_NOT_FOUND", f"{project.name} knows no emergency {emergency}")
    if known.principal in people(actors, project, everywhere):
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{known.principal} took {known.role}; somebody else has to review it",
            metadata={"principal": known.principal},
        )
    if known.reviewed_by:
        if (known.reviewed_by, known.justified, known.comment) == (actors[0], justified, comment):
            return None
        raise NotAllowedNow("EMERGENCY_REVIEWED", f"{known.reviewed_by} has reviewed emergency {emergency} already")
    return facts.EmergencyReviewed(number=emergency, justified=justified, comment=comment)


def overdue(access: Access) -> Iterator[tuple[Project, Emergency]]:
    """Emergencies that nobody has reviewed within a day, of the project and of all projects."""
    for state in (access.project, access.everywhere):
        for one in state.emergencies:
            if not one.reviewed_by and one.start_time.ToDatetime(access.now.tzinfo) + _REVIEWED_WITHIN <= access.now:
                yield state, one


def why_frozen(access: Access) -> str:
    """Why nothing is approved now, in a sentence; empty when things are."""
    for state, one in overdue(access):
        return f"emergency {one.number} of {state.name} ({one.principal} took {one.role}) was not reviewed within a day"
    return ""


def check_reviewed(access: Access) -> None:
    """Refuses as long as an emergency is overdue: what was taken in haste is looked at before more is approved."""
    for state, one in overdue(access):
        raise NotAllowedNow(
            "EMERGENCY_NOT_REVIEWED",
            f"{why_frozen(access)}; somebody else has to review it first",
            metadata={"project": state.name, "emergency": str(one.number)},
        )
