"""What is known of access in a project, folded from the registry's facts by whoever needs it. Pure."""

from typing import Any

from google.protobuf.message import Message

from kernel.fold import kind
from modelog.access.v1.types_pb2 import KnownProject
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Emergency, RoleBinding, RoleProposal, ServiceAccount

EVERYWHERE = "projects/all"  # What is granted there holds in all projects, and in what belongs to none.
HEARD = (
    facts.ProjectCreated,
    facts.RoleProposed,
    facts.RoleProposalWithdrawn,
    facts.RoleGranted,
    facts.RoleRevoked,
    facts.RoleDefined,
    facts.RoleRemoved,
    facts.ServiceAccountRegistered,
    facts.ServiceAccountRemoved,
    facts.EmergencyDeclared,
    facts.EmergencyReviewed,
)
MOST_EMERGENCIES = 50


def same(one: Any, principal: str, role: str, model: str) -> bool:
    """Whether a binding or a proposal is of this principal, role and model."""
    return (one.principal, one.role, one.model) == (principal, role, model)


def evolve_access(project: Any, event: Message, envelope: Fact) -> bool:
    """Folds what concerns access into `project`, a KnownProject or the registry's own Project; False for the rest."""
    return any(fold(project, event, envelope) for fold in (_fold_roles, _fold_definitions, _fold_emergencies))


def evolve_known_project(project: KnownProject, event: Message, envelope: Fact) -> None:
    evolve_access(project, event, envelope)


KNOWN_PROJECT = kind("registry", "projects/*", KnownProject, evolve_known_project, table="known_project", listens=HEARD)


def _fold_roles(project: Any, event: Message, envelope: Fact) -> bool:
    match event:
        case facts.ProjectCreated():
            for administrator in event.administrators:
                _grant(project, RoleBinding(principal=administrator, role="admin"), envelope)
        case facts.RoleProposed():
            _drop(project.role_proposals, event)
            proposal = RoleProposal(principal=event.principal, role=event.role, model=event.model)
            proposal.proposed_by = envelope.actor.id
            proposal.propose_time.CopyFrom(envelope.recorded_at)
            proposal.proposers.extend(event.proposers or [envelope.actor.id])
            if event.HasField("expire_time"):
                proposal.expire_time.CopyFrom(event.expire_time)
            project.role_proposals.append(proposal)
        case facts.RoleProposalWithdrawn():
            _drop(project.role_proposals, event)
        case facts.RoleGranted():
            _fold_granted(project, event, envelope)
        case facts.RoleRevoked():
            _drop(project.roles, event)
            _drop(project.role_proposals, event)
        case _:
            return False
    return True


def _fold_definitions(project: Any, event: Message, envelope: Fact) -> bool:
    match event:
        case facts.RoleDefined():
            project.role_definitions[event.role].CopyFrom(event.definition)
        case facts.RoleRemoved():
            del project.role_definitions[event.role]
        case facts.ServiceAccountRegistered():
            _fold_account(project.service_accounts[event.account], event, envelope)
        case facts.ServiceAccountRemoved():
            project.service_accounts[event.account].remove_time.CopyFrom(envelope.recorded_at)
            _drop_all(project.roles, event.account)
            _drop_all(project.role_proposals, event.account)
        case _:
            return False
    return True


def _fold_account(account: ServiceAccount, event: facts.ServiceAccountRegistered, envelope: Fact) -> None:
    account.owner, account.description = event.owner, event.description
    if not account.HasField("register_time"):
        account.register_time.CopyFrom(envelope.recorded_at)


def _fold_granted(project: Any, event: facts.RoleGranted, envelope: Fact) -> None:
    _drop(project.role_proposals, event)
    binding = RoleBinding(principal=event.principal, role=event.role, model=event.model)
    if event.HasField("expire_time"):
        binding.expire_time.CopyFrom(event.expire_time)
    if event.proposed_by:
        binding.granted_by, binding.confirmed_by = event.proposed_by, envelope.actor.id
    _grant(project, binding, envelope)


def _grant(project: Any, binding: RoleBinding, envelope: Fact) -> None:
    """Puts a binding at the end, in the place of one of the same role that runs out at another time."""
    _drop(project.roles, binding)
    binding.granted_by = binding.granted_by or envelope.actor.id
    binding.grant_time.CopyFrom(envelope.recorded_at)
    project.roles.append(binding)


def _drop(among: Any, wanted: Any) -> None:
    for index, one in enumerate(among):
        if same(one, wanted.principal, wanted.role, wanted.model) and not getattr(one, "emergency", 0):
            del among[index]
            return


def _drop_all(among: Any, principal: str) -> None:
    for index in reversed(range(len(among))):
        if among[index].principal == principal:
            del among[index]


def _fold_emergencies(project: Any, event: Message, envelope: Fact) -> bool:
    match event:
        case facts.EmergencyDeclared():
            emergency = Emergency(number=event.number, principal=envelope.actor.id, role=event.role)
            emergency.reason = envelope.reason
            emergency.start_time.CopyFrom(envelope.recorded_at)
            emergency.expire_time.CopyFrom(event.expire_time)
            project.emergencies.append(emergency)
            _forget(project.emergencies)
            binding = RoleBinding(principal=envelope.actor.id, role=event.role, granted_by=envelope.actor.id)
            binding.emergency = event.number
            binding.grant_time.CopyFrom(envelope.recorded_at)
            binding.expire_time.CopyFrom(event.expire_time)
            project.roles.append(binding)
        case facts.EmergencyReviewed():
            _fold_review(project, event, envelope)
        case _:
            return False
    return True


def _forget(emergencies: Any) -> None:
    """Forgets the oldest that was reviewed; one that nobody has reviewed is not pushed out by later ones."""
    if len(emergencies) > MOST_EMERGENCIES:
        oldest = next((index for index, one in enumerate(emergencies) if one.reviewed_by), None)
        if oldest is not None:
            del emergencies[oldest]


def _fold_review(project: Any, event: facts.EmergencyReviewed, envelope: Fact) -> None:
    """A role that still runs ends with the review."""
    for index, binding in enumerate(project.roles):
        if binding.emergency == event.number:
            del project.roles[index]
            break
    for known in project.emergencies:
        if known.number == event.number:
            known.reviewed_by, known.justified, known.comment = envelope.actor.id, event.justified, event.comment
            known.review_time.CopyFrom(envelope.recorded_at)
