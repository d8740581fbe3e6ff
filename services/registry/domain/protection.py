"""Protected aliases: who may move them, and to which versions."""

from collections.abc import Container, Sequence

from access.matrix import ROLES
from kernel.errors import Denied, NotAllowedNow, invalid_field
from modelog.registry.v1.types_pb2 import Phase, Policy, ProtectedAlias, Version
from services.registry.domain.access import Access


def check_protected(policy: Policy, defined: Container[str]) -> None:
    """Invalid, naming the part that is wrong; `defined`: roles of the project's own."""
    seen: set[str] = set()
    for index, one in enumerate(policy.protected_aliases):
        field = f"policy.protected_aliases[{index}]"
        if one.alias in seen:
            raise invalid_field(f"{field}.alias", f"{one.alias!r} is there twice", "DUPLICATE_ALIAS")
        seen.add(one.alias)
        if one.role and one.role not in ROLES and one.role not in defined:
            known = ", ".join(ROLES)
            raise invalid_field(f"{field}.role", f"there is no role {one.role!r}; define it or take {known}", "NO_ROLE")


def may_move(access: Access, model: str, alias: str, actors: Sequence[str]) -> None:
    """Denied unless everybody who moves it was granted the role that the policy asks for."""
    role = _protection(access.project.policy, alias).role
    for actor in actors if role else ():
        if not access.holds(actor, role, model):
            raise Denied(
                "ALIAS_PROTECTED",
                f"{alias} is moved by holders of {role}, and {actor} was not granted it; ask one of them",
                metadata={"alias": alias, "role": role},
            )


def admits(policy: Policy, alias: str, version: Version) -> None:
    """NotAllowedNow unless the version is in a phase that the alias may point to."""
    phases = _protection(policy, alias).phases
    if phases and version.phase not in phases:
        wanted = ", ".join(Phase.Name(phase).removeprefix("PHASE_") for phase in phases)
        raise NotAllowedNow(
            "PHASE_NOT_ADMITTED",
            f"{alias} points only to versions in {wanted}, and {version.name} is in {version.stage}; move it on first",
            metadata={"alias": alias, "version": version.name, "stage": version.stage},
        )


def _protection(policy: Policy, alias: str) -> ProtectedAlias:
    return next((one for one in policy.protected_aliases if one.alias == alias), ProtectedAlias())
