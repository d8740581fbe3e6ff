"""May this principal do this, there, now? One pure function; everything it looks at comes in as an argument."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from access.grants import NEVER, Grant, Grants
from access.matrix import ANYBODY
from modelog.registry.v1.access_pb2 import Decision

_ACCOUNTS = "serviceaccounts/"
_OWN = ", which allows it on what they made themselves and in no protected environment"
_UNPROTECTED = ", which allows it in no protected environment"


class Outcome(NamedTuple):
    """What came out. grant: what allowed it, None when nothing did or nothing is needed. where: whose grant it is."""

    allowed: bool
    reason: str
    grant: Grant | None = None
    where: str = ""
    own_only: bool = False
    unprotected_only: bool = False

    @property
    def limited(self) -> bool:
        """Whether something remains to be decided on the resource itself."""
        return self.own_only or self.unprotected_only


def decide(principal: str, permission: str, resource: str, among: Sequence[Grants], now: datetime) -> Outcome:
    """resource: its name, empty for what belongs to no project. among: what its project grants, and what holds
    everywhere; the grant with the fewest conditions is taken."""
    if permission in ANYBODY:
        return Outcome(True, "ANYBODY")
    if principal.startswith(_ACCOUNTS) and not any(principal in grants.owners for grants in among):
        return Outcome(False, "ACCOUNT_NOT_REGISTERED")
    own, unprotected, expired = None, None, False
    for grants in among:
        for grant in grants.by_principal.get(principal, ()):
            if permission not in grant.permissions or not _within(resource, grant.model):
                continue
            if grant.expires_us != NEVER and now.timestamp() * 1_000_000 >= grant.expires_us:
                expired = True
            elif permission in grant.own:
                own = own or Outcome(True, "GRANTED_ON_OWN", grant, grants.name, own_only=True)
            elif permission in grant.unprotected:
                unprotected = Outcome(True, "GRANTED_ON_UNPROTECTED", grant, grants.name, unprotected_only=True)
            else:
                return Outcome(True, "GRANTED", grant, grants.name)
    return unprotected or own or Outcome(False, "GRANT_EXPIRED" if expired else "NOT_GRANTED")


def _within(resource: str, model: str) -> bool:
    """A role limited to a model holds on it and on everything below it."""
    return not model or resource == model or resource.startswith(model + "/")


def explained(outcome: Outcome, principal: str, permission: str, resource: str, among: Sequence[Grants]) -> Decision:
    """The outcome as others are told it."""
    decision = Decision(
        allowed=outcome.allowed,
        reason=outcome.reason,
        explanation=sentence(outcome, principal, permission, resource),
        permission=permission,
        resource=resource,
        project=outcome.where,
        own_only=outcome.own_only,
        unprotected_only=outcome.unprotected_only,
        revisions={grants.name: grants.revision for grants in among if grants.revision},
    )
    if outcome.grant is not None:
        decision.binding.CopyFrom(outcome.grant.binding)
    return decision


def sentence(outcome: Outcome, principal: str, permission: str, resource: str) -> str:
    """Why, and what to do next when it was refused."""
    on = f" on {resource}" if resource else " in the whole installation"
    match outcome.reason:
        case "ANYBODY":
            return f"{permission} needs no role"
        case "ACCOUNT_NOT_REGISTERED":
            return f"{principal} is registered in no project that this concerns; have an administrator register it"
        case "GRANT_EXPIRED":
            return f"{principal} held {permission}{on}, but the role has run out; ask an administrator for a new one"
        case "NOT_GRANTED":
            return f"{principal} holds no role that allows {permission}{on}; ask an administrator of the project"
    binding = outcome.grant.binding if outcome.grant else None
    role = binding.role if binding else ""
    limit = f" for {binding.model}" if binding and binding.model else ""
    condition = _OWN if outcome.own_only else _UNPROTECTED if outcome.unprotected_only else ""
    return f"{principal} holds {role}{limit} in {outcome.where}, granted by {_by(outcome)}{condition}"


def _by(outcome: Outcome) -> str:
    binding = outcome.grant.binding if outcome.grant else None
    if binding is None:
        return ""
    return f"{binding.granted_by} and {binding.confirmed_by}" if binding.confirmed_by else binding.granted_by
