"""Projects: the boundary of access and of policy."""

from google.protobuf.message import Message

from access.fold import evolve_access, same
from kernel.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound, UnknownFact
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Lifecycle, Policy, Project
from services.registry.domain.lifecycle import BUILT_IN, check_lifecycle
from services.registry.domain.policy import check_policy

_MOST_ROLES = 500


def present(project: Project) -> None:
    """NotFound for a project that does not exist."""
    if not project.name:
        raise NotFound("PROJECT_NOT_FOUND", "there is no such project; create it first")


def create_project(project: Project, *, title: str, description: str) -> facts.ProjectCreated:
    if project.name:
        raise AlreadyExists("PROJECT_EXISTS", f"{project.name} exists already")
    return facts.ProjectCreated(title=title, description=description, lifecycle=BUILT_IN)


def set_lifecycle(project: Project, *, lifecycle: Lifecycle) -> facts.LifecycleSet | None:
    """Refuses to drop a move that the policy guards: the rule would never apply again, and nobody would notice."""
    present(project)
    check_lifecycle(lifecycle)
    if lifecycle == project.lifecycle:
        return None
    try:
        check_policy(project.policy, lifecycle)
    except Invalid as wrong:
        raise NotAllowedNow(
            "POLICY_NAMES_STAGE", f"the policy does not fit this lifecycle, set it first: {wrong.message}"
        ) from wrong
    return facts.LifecycleSet(lifecycle=lifecycle)


def set_policy(project: Project, *, policy: Policy) -> facts.PolicySet | None:
    present(project)
    check_policy(policy, project.lifecycle)
    return None if policy == project.policy else facts.PolicySet(policy=policy)


def grant_role(project: Project, *, principal: str, role: str) -> facts.RoleGranted | None:
    present(project)
    if holds(project, principal, role):
        return None
    if len(project.roles) >= _MOST_ROLES:
        raise NotAllowedNow("TOO_MANY_ROLES", f"{project.name} has {_MOST_ROLES} role bindings; revoke one first")
    return facts.RoleGranted(principal=principal, role=role)


def revoke_role(project: Project, *, principal: str, role: str) -> facts.RoleRevoked:
    present(project)
    if not holds(project, principal, role):
        raise NotFound("ROLE_NOT_GRANTED", f"{principal} does not hold {role} in {project.name}")
    return facts.RoleRevoked(principal=principal, role=role)


def holds(project: Project, principal: str, role: str) -> bool:
    return any(same(binding, principal, role, "") for binding in project.roles)


def evolve_project(project: Project, event: Message, envelope: Fact) -> None:
    match event:
        case facts.ProjectCreated():
            project.title, project.description = event.title, event.description
            project.lifecycle.CopyFrom(event.lifecycle)
            evolve_access(project, event, envelope)
        case facts.LifecycleSet():
            project.lifecycle.CopyFrom(event.lifecycle)
        case facts.PolicySet():
            project.policy.CopyFrom(event.policy)
        case _:
            if not evolve_access(project, event, envelope):
                raise UnknownFact(event)
