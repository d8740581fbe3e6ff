"""Who may do what in a project at one moment, and what a reviewer of access should look at. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from access.fold import EVERYWHERE
from access.grants import Grant, Grants, grants_of
from access.matrix import ADMIN, APPROVER, AUTHOR, DEPLOYER
from access.people import people, persons
from modelog.registry.v1.access_pb2 import AccessFinding, AccessReview, PrincipalAccess
from modelog.registry.v1.types_pb2 import RoleBinding

_LONG = timedelta(days=365)
_WAITING = timedelta(days=30)
_TOGETHER = ((AUTHOR, APPROVER), (APPROVER, DEPLOYER))


def review(project: Any, everywhere: Any, configured: Grants, now: datetime) -> AccessReview:
    """The report on a project. `everywhere`: the state of `projects/all`; the same as `project` when that is asked for.

    `configured`: what the installation's settings grant.
    """
    report = AccessReview(project=project.name, revision=project.revision)
    report.time.FromDatetime(now)
    own, above = grants_of(project.name, project), [configured]
    if project.name != EVERYWHERE:
        above.append(grants_of(EVERYWHERE, everywhere))
    report.principals.extend(_principals([own], now))
    report.everywhere.extend(_principals(above, now))
    report.role_proposals.extend(project.role_proposals)
    report.emergencies.extend(one for one in project.emergencies if not one.reviewed_by)
    for account, one in project.service_accounts.items():
        report.service_accounts[account].CopyFrom(one)
    report.findings.extend(_findings(project, everywhere, [own, *above], now))
    return report


def _principals(among: Sequence[Grants], now: datetime) -> Iterator[PrincipalAccess]:
    for principal in sorted({one for grants in among for one in grants.by_principal}):
        held = [grant for grants in among for grant in grants.by_principal.get(principal, ())]
        permitted = frozenset[str]().union(*(grant.permissions for grant in held if _holds_now(grant, now)))
        yield PrincipalAccess(
            principal=principal,
            bindings=[grant.binding for grant in held],
            permissions=sorted(permitted),
            owner=next((grants.owners[principal] for grants in among if principal in grants.owners), ""),
        )


def _holds_now(grant: Grant, now: datetime) -> bool:
    return int(now.timestamp() * 1_000_000) < grant.expires_us


def _findings(project: Any, everywhere: Any, among: Sequence[Grants], now: datetime) -> Iterator[AccessFinding]:
    roles = _roles(among, (project, everywhere), now)
    yield from _together(roles)
    yield from _administrators(project, roles)
    yield from _owners(project, among, now)
    yield from _bindings(project.roles, now)
    for one in project.role_proposals:
        if one.propose_time.ToDatetime(now.tzinfo) + _WAITING <= now:
            said = f"{one.proposed_by} proposed {one.role} for {one.principal} over {_WAITING.days} days ago"
            yield _finding("PROPOSED_LONG_AGO", one.principal, said)
    for one in project.emergencies:
        if not one.reviewed_by:
            said = f"emergency {one.number}: {one.principal} took {one.role} and nobody has reviewed it"
            yield _finding("EMERGENCY_NOT_REVIEWED", one.principal, said)


def _roles(among: Sequence[Grants], states: Iterable[Any], now: datetime) -> Mapping[str, frozenset[str]]:
    """The roles each person or account has in its hands now: an account's roles are its owner's too."""
    known, found = list(states), dict[str, frozenset[str]]()
    for grants in among:
        for principal, held in grants.by_principal.items():
            roles = frozenset(grant.binding.role for grant in held if _holds_now(grant, now))
            for one in people([principal], *known):
                found[one] = found.get(one, frozenset()) | roles
    return found


def _together(roles: Mapping[str, frozenset[str]]) -> Iterator[AccessFinding]:
    for principal, held in sorted(roles.items()):
        for one, other in _TOGETHER:
            if {one, other} <= held:
                said = f"{principal} holds {one} and {other}, in person or by an account"
                yield _finding(f"{one}_AND_{other}".upper(), principal, said)


def _administrators(project: Any, roles: Mapping[str, frozenset[str]]) -> Iterator[AccessFinding]:
    administrators = persons(sorted(one for one, held in roles.items() if ADMIN in held))
    if len(administrators) < 2:
        who = administrators[0] if administrators else "nobody"
        said = f"{who} administers {project.name}; a role that leads into production takes two people to grant"
        yield _finding("ADMINISTRATORS_MISSING", administrators[0] if administrators else "", said)


def _owners(project: Any, among: Sequence[Grants], now: datetime) -> Iterator[AccessFinding]:
    in_person = {
        principal
        for grants in among
        for principal, held in grants.by_principal.items()
        if any(_holds_now(grant, now) for grant in held)
    }
    for account, one in sorted(project.service_accounts.items()):
        if not one.HasField("remove_time") and one.owner not in in_person:
            yield _finding("OWNER_WITHOUT_ROLE", account, f"{one.owner} owns {account} and holds no role here any more")


def _bindings(bindings: Iterable[RoleBinding], now: datetime) -> Iterator[AccessFinding]:
    for one in bindings:
        if one.HasField("expire_time") and one.expire_time.ToDatetime(now.tzinfo) <= now:
            yield _finding("EXPIRED", one.principal, f"{one.principal}'s {one.role} has run out; revoke it")
        elif one.grant_time.ToDatetime(now.tzinfo) + _LONG <= now:
            said = f"{one.granted_by} granted {one.role} to {one.principal} over {_LONG.days} days ago"
            yield _finding("GRANTED_LONG_AGO", one.principal, said)


def _finding(reason: str, principal: str, explanation: str) -> AccessFinding:
    return AccessFinding(reason=reason, principal=principal, explanation=explanation)
