"""Roles: granting them with four eyes where they lead into production, revoking them, and a project's own ones."""

import re
from collections.abc import Sequence
from datetime import datetime

from access.fold import EVERYWHERE, same
from access.matrix import DEFINABLE, PERMISSIONS, ROLES
from access.people import ACCOUNT, people, persons, registered
from kernel.errors import Denied, NotAllowedNow, NotFound, invalid_field
from kernel.names import Pattern, project_of
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Project, RoleBinding, RoleDefinition, RoleProposal
from services.registry.domain.access import NOWHERE, is_production, known_role
from services.registry.domain.project import present

_MOST_ROLES = 500
_MOST_DEFINITIONS = 50
_PRINCIPAL = re.compile(r"(users|serviceaccounts|services)/[^\s/]{1,240}")
_MODEL = Pattern("projects/*/models/*")


def grant_role(
    project: Project, everywhere: Project = NOWHERE, *, wanted: RoleBinding, actors: Sequence[str], now: datetime
) -> facts.RoleGranted | facts.RoleProposed | None:
    """`wanted` says who, which role, for which model and until when. `actors`: who grants it, then for whom.

    What leads into production is first proposed, and granted when a second person wants exactly the same.
    """
    present(project)
    _check_wanted(project, everywhere, wanted, now)
    granting = people(actors, project, everywhere)
    if granting & people([wanted.principal], project, everywhere):
        raise Denied(
            "SELF_GRANT",
            f"{wanted.principal} is who grants it, or an account of theirs; another administrator has to",
            metadata={"principal": wanted.principal},
        )
    if any(_equal(binding, wanted) for binding in project.roles):
        return None
    if not is_production(project, wanted.role):
        _check_room(project)
        return _granted(wanted, "")
    if not persons(granting):
        raise Denied(
            "PERSON_UNKNOWN",
            f"nobody is known to stand behind {actors[0]}; a person has to grant {wanted.role}",
            metadata={"principal": actors[0]},
        )
    proposal = next((one for one in project.role_proposals if _equal(one, wanted)), None)
    if proposal is None:
        _check_room(project)
        return _proposed(wanted, sorted(granting))
    return _confirmed(proposal, wanted, actors[0], granting & people(proposal.proposers, project, everywhere))


def _confirmed(
    proposal: RoleProposal, wanted: RoleBinding, actor: str, behind_both: frozenset[str]
) -> facts.RoleGranted | None:
    if proposal.proposed_by == actor:
        return None
    if behind_both:
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{min(behind_both)} stands behind the proposal of {proposal.proposed_by} already; "
            f"a second person has to grant {wanted.role}",
            metadata={"principal": min(behind_both)},
        )
    return _granted(wanted, proposal.proposed_by)


def _check_wanted(project: Project, everywhere: Project, wanted: RoleBinding, now: datetime) -> None:
    if not _PRINCIPAL.fullmatch(wanted.principal):
        raise invalid_field("principal", "say users/ada, serviceaccounts/ci or services/deployment", "NO_PRINCIPAL")
    if wanted.model:
        _check_model(project, wanted.model)
    if wanted.HasField("expire_time") and wanted.expire_time.ToDatetime(now.tzinfo) <= now:
        raise invalid_field("expire_time", "it is over already; say a time to come, or none", "PAST")
    if not known_role(project, wanted.role):
        raise _no_role(project, wanted.role)
    if wanted.principal.startswith(ACCOUNT) and not registered(wanted.principal, project, everywhere):
        raise NotFound(
            "ACCOUNT_NOT_REGISTERED", f"{wanted.principal} is not registered here; register it with its owner first"
        )


def _check_model(project: Project, model: str) -> None:
    _MODEL.ids(model, "model")
    if project.name != EVERYWHERE and project_of(model) != project.name:
        raise invalid_field("model", f"{model} is not in {project.name}", "OTHER_PROJECT")


def _check_room(project: Project) -> None:
    if len(project.roles) + len(project.role_proposals) >= _MOST_ROLES:
        raise NotAllowedNow(
            "TOO_MANY_ROLES", f"{project.name} has {_MOST_ROLES} roles granted and proposed; revoke one first"
        )


def _equal(one: RoleBinding | RoleProposal, wanted: RoleBinding) -> bool:
    """Whether it says all that is wanted; what was taken in an emergency was not granted."""
    return (
        same(one, wanted.principal, wanted.role, wanted.model)
        and one.HasField("expire_time") == wanted.HasField("expire_time")
        and one.expire_time == wanted.expire_time
        and not getattr(one, "emergency", 0)
    )


def _granted(wanted: RoleBinding, proposed_by: str) -> facts.RoleGranted:
    event = facts.RoleGranted(principal=wanted.principal, role=wanted.role, model=wanted.model)
    event.proposed_by = proposed_by
    if wanted.HasField("expire_time"):
        event.expire_time.CopyFrom(wanted.expire_time)
    return event


def _proposed(wanted: RoleBinding, proposers: Sequence[str]) -> facts.RoleProposed:
    event = facts.RoleProposed(principal=wanted.principal, role=wanted.role, model=wanted.model, proposers=proposers)
    if wanted.HasField("expire_time"):
        event.expire_time.CopyFrom(wanted.expire_time)
    return event


def revoke_role(
    project: Project, *, principal: str, role: str, model: str = ""
) -> facts.RoleRevoked | facts.RoleProposalWithdrawn:
    """Takes away what was granted, or what was only proposed. One administrator is enough to end a power."""
    present(project)
    if any(same(one, principal, role, model) and not one.emergency for one in project.roles):
        return facts.RoleRevoked(principal=principal, role=role, model=model)
    if any(same(one, principal, role, model) for one in project.role_proposals):
        return facts.RoleProposalWithdrawn(principal=principal, role=role, model=model)
    taken = next((one.emergency for one in project.roles if same(one, principal, role, model)), 0)
    hint = f"; it was taken in emergency {taken}, and reviewing that ends it" if taken else ""
    limit = f" for {model}" if model else ""
    raise NotFound("ROLE_NOT_GRANTED", f"{principal} was not granted {role}{limit} in {project.name}{hint}")


def define_role(project: Project, *, role: str, definition: RoleDefinition) -> facts.RoleDefined | None:
    """A role that somebody holds may lose permissions only: what it would gain, nobody was asked to grant."""
    present(project)
    _check_own(role)
    for index, permission in enumerate(definition.permissions):
        if permission not in DEFINABLE:
            why = "is not granted by roles of one's own" if permission in PERMISSIONS else "is no permission"
            raise invalid_field(f"definition.permissions[{index}]", f"{permission} {why}", "NO_PERMISSION")
    wanted = RoleDefinition(permissions=sorted(definition.permissions), description=definition.description)
    known = project.role_definitions[role] if role in project.role_definitions else RoleDefinition()
    if wanted == known:
        return None
    gained = sorted(set(wanted.permissions) - set(known.permissions))
    if gained and (holders := _holders(project, role)):
        raise NotAllowedNow(
            "ROLE_IN_USE",
            f"{role} is held by or proposed to {holders[0]} and may not gain {gained[0]}; define another role",
            metadata={"principal": holders[0]},
        )
    if role not in project.role_definitions and len(project.role_definitions) >= _MOST_DEFINITIONS:
        raise NotAllowedNow("TOO_MANY_ROLES", f"{project.name} defines {_MOST_DEFINITIONS} roles; remove one first")
    return facts.RoleDefined(role=role, definition=wanted)


def remove_role(project: Project, *, role: str) -> facts.RoleRemoved:
    present(project)
    _check_own(role)
    if role not in project.role_definitions:
        raise _no_role(project, role)
    if holders := _holders(project, role):
        raise NotAllowedNow(
            "ROLE_IN_USE",
            f"{role} is held by or proposed to {holders[0]}; revoke it first",
            metadata={"principal": holders[0]},
        )
    if any(one.role == role for rule in project.policy.rules for one in rule.required_reviews):
        raise NotAllowedNow("ROLE_IN_USE", f"the policy asks for reviews by holders of {role}; set another one first")
    if any(one.role == role for one in project.policy.protected_aliases):
        raise NotAllowedNow("ROLE_IN_USE", f"the policy lets holders of {role} move an alias; set another one first")
    return facts.RoleRemoved(role=role)


def _check_own(role: str) -> None:
    if role in ROLES:
        raise NotAllowedNow("BUILT_IN_ROLE", f"{role} is built in and stays what it is; define one of another name")


def _holders(project: Project, role: str) -> list[str]:
    return [one.principal for among in (project.roles, project.role_proposals) for one in among if one.role == role]


def _no_role(project: Project, role: str) -> NotFound:
    known = ", ".join([*ROLES, *sorted(project.role_definitions)])
    return NotFound(
        "ROLE_NOT_FOUND", f"there is no role {role!r} in {project.name}; define it, or grant one of {known}"
    )
