"""Who holds what at one moment, as decisions ask for it: a project's own roles and those of all projects."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from access.matrix import PRODUCTION_PERMISSIONS, PRODUCTION_ROLES, ROLES
from access.people import people
from modelog.registry.v1.types_pb2 import Project, RoleBinding

# What is known of `projects/all` where nobody made it.
NOWHERE = Project()


class Access(NamedTuple):
    """`everywhere`: the state of `projects/all`, whose roles and accounts hold in all projects."""

    project: Project
    everywhere: Project
    now: datetime

    def people(self, principals: Iterable[str]) -> frozenset[str]:
        """The principals, and the owners of those that are accounts for jobs."""
        return people(principals, self.project, self.everywhere)

    def holds(self, principal: str, role: str, model: str) -> bool:
        """Whether somebody was granted a role for a model. What was taken in an emergency does not count here."""
        return any(
            (binding.principal, binding.role) == (principal, role)
            and binding.model in ("", model)
            and not binding.emergency
            and not ran_out(binding, self.now)
            for state in (self.project, self.everywhere)
            for binding in state.roles
        )


def ran_out(binding: RoleBinding, now: datetime) -> bool:
    return binding.HasField("expire_time") and binding.expire_time.ToDatetime(now.tzinfo) <= now


def known_role(project: Project, role: str) -> bool:
    return role in ROLES or role in project.role_definitions


def is_production(project: Project, role: str) -> bool:
    """Whether who holds a role can bring something into production, or let somebody."""
    own = project.role_definitions[role].permissions if role in project.role_definitions else ()
    return role in PRODUCTION_ROLES or not PRODUCTION_PERMISSIONS.isdisjoint(own)
