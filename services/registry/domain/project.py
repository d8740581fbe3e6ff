"""Projects: the boundary of access and of policy."""

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from access.fold import evolve_access
from access.people import owners_of, persons
from kernel.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound, UnknownFact
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import declare_events_pb2 as declared
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Lifecycle, Policy, Project
from services.registry.domain.access import NOWHERE
from services.registry.domain.delegated import evolve_delegation
from services.registry.domain.lifecycle import BUILT_IN, check_lifecycle
from services.registry.domain.masks import masked
from services.registry.domain.policy import check_policy, check_roles
from services.registry.domain.protection import check_protected
from services.registry.domain.provenance import evolve_trusted_keys
from services.registry.domain.teams import evolve_teams


def present(project: Project) -> None:
    """NotFound for a project that does not exist."""
    if not project.name:
        raise NotFound("PROJECT_NOT_FOUND", "there is no such project; create it first")


def create_project(
    project: Project, everywhere: Project = NOWHERE, *, title: str, description: str, actors: Sequence[str]
) -> facts.ProjectCreated:
    """The person behind it administers it from the beginning, so that no project is nobody's.

    `actors`: who creates it, then for whom. Of an account for jobs that acts for nobody it is the owner, as registered
    in `projects/all`: this project cannot know of it yet.
    """
    if project.name:
        raise AlreadyExists("PROJECT_EXISTS", f"{project.name} exists already")
    behind = persons([*actors, *owners_of(actors, everywhere)])
    if not behind:
        raise NotAllowedNow(
            "CREATOR_UNKNOWN",
            f"no person is known to stand behind {actors[0]}; create it as a person or on behalf of one, "
            "or register the account in projects/all",
        )
    return facts.ProjectCreated(title=title, description=description, lifecycle=BUILT_IN, administrators=behind[:1])


def describe_project(
    project: Project, *, title: str, description: str, mask: FieldMask
) -> declared.ProjectDescribed | None:
    present(project)
    given = {"title": title, "description": description}
    changed = [name for name in masked(mask, tuple(given)) if given[name] != getattr(project, name)]
    if not changed:
        return None
    return declared.ProjectDescribed(update_mask=FieldMask(paths=changed), **{name: given[name] for name in changed})


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
    check_roles(policy, project.role_definitions)
    check_protected(policy, project.role_definitions)
    return None if policy == project.policy else facts.PolicySet(policy=policy)


def evolve_project(project: Project, event: Message, envelope: Fact) -> None:
    match event:
        case facts.ProjectCreated():
            project.title, project.description = event.title, event.description
            project.lifecycle.CopyFrom(event.lifecycle)
            evolve_access(project, event, envelope)
        case declared.ProjectDescribed():
            for name in event.update_mask.paths:
                setattr(project, name, getattr(event, name))
        case facts.LifecycleSet():
            project.lifecycle.CopyFrom(event.lifecycle)
        case facts.PolicySet():
            project.policy.CopyFrom(event.policy)
        case _:
            if not any(fold(project, event, envelope) for fold in _FOLDS):
                raise UnknownFact(event)


# What other modules of this folder know of projects.
_FOLDS = (evolve_access, evolve_delegation, evolve_trusted_keys, evolve_teams)
