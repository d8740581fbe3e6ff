"""Who stands behind a principal: separation of duties compares people, whatever accounts they use. Pure."""

from collections.abc import Iterable
from typing import Any

from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.events_pb2 import VersionRegistered

PERSON, ACCOUNT = "users/", "serviceaccounts/"


def owners_of(principals: Iterable[str], *projects: Any) -> list[str]:
    """The owners of those principals that are accounts for jobs, as registered in any of the projects.

    An account that was removed still has the owner who answered for what it did.
    """
    accounts = [one for one in principals if one.startswith(ACCOUNT)]
    found = (one.service_accounts[name].owner for name in accounts for one in projects if name in one.service_accounts)
    return list(dict.fromkeys(found))


def people(principals: Iterable[str], *projects: Any) -> frozenset[str]:
    """The principals themselves, and the owners of those that are accounts for jobs."""
    named = list(principals)
    return frozenset(named) | frozenset(owners_of(named, *projects))


def persons(principals: Iterable[str]) -> list[str]:
    """Those that are people, in their order."""
    return [one for one in principals if one.startswith(PERSON)]


def registered(account: str, *projects: Any) -> bool:
    """Whether an account for jobs is registered, and not removed, in one of the projects."""
    return any(
        account in one.service_accounts and not one.service_accounts[account].HasField("remove_time")
        for one in projects
    )


def makers_of(event: VersionRegistered, envelope: Fact) -> list[str]:
    """Author and uploader of a version, everybody they acted for, who owned their accounts, and whoever made what it is
    a copy of, each once."""
    acting = (envelope.actor.id, *(one.id for one in envelope.on_behalf_of))
    return list(dict.fromkeys((event.author or envelope.actor.id, *acting, *event.owners, *event.copied_from.makers)))
