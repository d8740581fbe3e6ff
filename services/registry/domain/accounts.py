"""Accounts for jobs: whatever one does, its owner answers for, so an owner does not change behind others' backs."""

from access.fold import EVERYWHERE
from access.people import PERSON, registered
from kernel.errors import NotAllowedNow, NotFound, invalid_field
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Project
from services.registry.domain.project import present

_MOST_ACCOUNTS = 1000
_MOST_ID = 240


def register_service_account(
    project: Project, *, account: str, owner: str, description: str
) -> facts.ServiceAccountRegistered | None:
    """Registers an account, or changes what is said of it. Roles were granted to it under its owner, who then stays;
    of an account of all projects nobody here can tell where it holds roles."""
    present(project)
    if not owner.startswith(PERSON) or not 1 <= len(owner.removeprefix(PERSON)) <= _MOST_ID:
        raise invalid_field("owner", "a person has to answer for it: say users/ada", "NO_PERSON")
    if account in project.service_accounts:
        known = project.service_accounts[account]
        if known.HasField("remove_time"):
            raise NotAllowedNow("ACCOUNT_REMOVED", f"{account} was removed; ids are not used again, take another one")
        if (known.owner, known.description) == (owner, description):
            return None
        if known.owner != owner:
            _check_owner_may_change(project, account)
    elif len(project.service_accounts) >= _MOST_ACCOUNTS:
        raise NotAllowedNow("TOO_MANY_ACCOUNTS", f"{project.name} has had {_MOST_ACCOUNTS} accounts, and takes no more")
    return facts.ServiceAccountRegistered(account=account, owner=owner, description=description)


def _check_owner_may_change(project: Project, account: str) -> None:
    if project.name == EVERYWHERE:
        raise NotAllowedNow(
            "ACCOUNT_HOLDS_ROLES", f"{account} may hold roles in any project; register another account instead"
        )
    held = [one.role for one in project.roles if one.principal == account]
    held += [one.role for one in project.role_proposals if one.principal == account]
    if held:
        raise NotAllowedNow(
            "ACCOUNT_HOLDS_ROLES", f"{account} holds {held[0]}, granted under its owner; revoke its roles first"
        )


def remove_service_account(project: Project, *, account: str) -> facts.ServiceAccountRemoved | None:
    present(project)
    if account not in project.service_accounts:
        raise NotFound("ACCOUNT_NOT_REGISTERED", f"there is no {account} in {project.name}")
    return facts.ServiceAccountRemoved(account=account) if registered(account, project) else None
