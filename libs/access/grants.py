"""What a project's state grants, indexed by principal, so that a decision looks at one principal only. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from access.matrix import ADMIN, OWN, ROLES, UNPROTECTED
from modelog.registry.v1.types_pb2 import RoleBinding

NEVER = 1 << 62


class Grant(NamedTuple):
    """One binding as a decision needs it.

    own: the permissions held only on what the principal made itself, in no protected environment. unprotected: those
    held on whatever is in no protected environment.
    """

    permissions: frozenset[str]
    own: frozenset[str]
    unprotected: frozenset[str]
    model: str
    expires_us: int
    binding: RoleBinding


class Grants(NamedTuple):
    """All of one project. name: `projects/risk`; revision: of the state it was made from.

    owners: by account, without those that were removed.
    """

    name: str
    revision: int
    by_principal: Mapping[str, tuple[Grant, ...]]
    owners: Mapping[str, str]


def grants_of(name: str, state: Any) -> Grants:
    """The index of a KnownProject or Project; empty for one that does not exist."""
    own_roles = {role: frozenset(one.permissions) for role, one in state.role_definitions.items()}
    found: dict[str, tuple[Grant, ...]] = {}
    for binding in state.roles:
        found[binding.principal] = (*found.get(binding.principal, ()), _grant(binding, own_roles))
    accounts = state.service_accounts.items()
    owners = {account: one.owner for account, one in accounts if not one.HasField("remove_time")}
    return Grants(name, state.revision, found, owners)


def by_configuration(administrators: Iterable[str]) -> Grants:
    """What an installation's settings grant: `admin` in all projects, so that there is somebody to begin with."""
    bindings = {one: RoleBinding(principal=one, role=ADMIN, granted_by="configuration") for one in administrators}
    return Grants("configuration", 0, {one: (_grant(binding, {}),) for one, binding in bindings.items()}, {})


def _grant(binding: RoleBinding, own_roles: Mapping[str, frozenset[str]]) -> Grant:
    permissions = ROLES.get(binding.role) or own_roles.get(binding.role, frozenset())
    own, unprotected = (
        frozenset(permission for role, permission in limited if role == binding.role) for limited in (OWN, UNPROTECTED)
    )
    expires_us = binding.expire_time.ToMicroseconds() if binding.HasField("expire_time") else NEVER
    return Grant(permissions, own, unprotected, binding.model, expires_us, binding)
