"""An authority over states that a test writes down, instead of services that fold them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from access.authority import RoleAuthority
from kernel.identity import ACTOR, Caller, Peer, on_behalf_of
from modelog.access.v1.types_pb2 import KnownProject
from modelog.registry.v1.types_pb2 import RoleBinding
from modelog.type.v1.principal_pb2 import Principal

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ADA = "users/ada"
OWN, OTHER, EVERYWHERE = "projects/risk", "projects/secret", "projects/all"


class Believing:
    """Credentials that believe what a caller says of itself; roles are looked at all the same."""

    async def caller(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        principal = Principal(id=metadata.get(ACTOR, ADA), auth_method="believed")
        return Caller(principal, on_behalf_of(metadata))


def caller(principal: str = ADA, *others: str) -> Caller:
    return Caller(Principal(id=principal), tuple(Principal(id=one) for one in others))


def bound(role: str, *, principal: str = ADA, model: str = "", until: datetime | None = None) -> RoleBinding:
    binding = RoleBinding(principal=principal, role=role, model=model, granted_by="users/mina")
    if until is not None:
        binding.expire_time.CopyFrom(_timestamp(until))
    return binding


def project(name: str, *roles: RoleBinding, **accounts: str) -> KnownProject:
    """accounts: owners by the last part of the account's id."""
    state = KnownProject(name=name, generation=1, revision=7, roles=roles)
    for account, owner in accounts.items():
        state.service_accounts[f"serviceaccounts/{account}"].owner = owner
    return state


def authority(*projects: KnownProject, administrators: tuple[str, ...] = ()) -> RoleAuthority:
    states: dict[str, Any] = {one.name: one for one in projects}
    nothing = KnownProject()

    async def load(name: str) -> Any:
        return states.get(name, nothing)

    async def seen(revision: int) -> None:
        """Whatever was seen, these states are as new."""

    def peek(name: str) -> Any:
        return states.get(name, nothing)

    async def catch_up() -> None:
        """There is no log to catch up with."""

    return RoleAuthority(Believing(), load, peek, seen, catch_up, lambda: NOW, administrators)


def _timestamp(when: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
