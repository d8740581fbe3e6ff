"""The door of the registry: request, verb, reply. One file for each resource, as in the domain."""

from services.registry.servicer.access import Access
from services.registry.servicer.aliases import Aliases
from services.registry.servicer.artifacts import Artifacts
from services.registry.servicer.cards import Cards
from services.registry.servicer.checklists import Checklists
from services.registry.servicer.comparisons import Comparisons
from services.registry.servicer.delegations import Delegations
from services.registry.servicer.ending import Ending
from services.registry.servicer.feeds import Feeds
from services.registry.servicer.findings import Findings
from services.registry.servicer.models import Models
from services.registry.servicer.people import People
from services.registry.servicer.projects import Projects
from services.registry.servicer.roles import Roles
from services.registry.servicer.search import Search
from services.registry.servicer.threads import Threads
from services.registry.servicer.transitions import Transitions
from services.registry.servicer.verdicts import Verdicts
from services.registry.servicer.versions import Versions
from services.registry.servicer.webhooks import WebhookServicer

__all__ = ["CollaborationServicer", "RegistryServicer", "WebhookServicer"]


class RegistryServicer(
    Projects,
    Roles,
    Access,
    Models,
    Aliases,
    Versions,
    Artifacts,
    Cards,
    Transitions,
    Verdicts,
    Findings,
    Checklists,
    Delegations,
    Comparisons,
    Search,
    Ending,
):
    """modelog.registry.v1.RegistryService."""


class CollaborationServicer(Threads, People, Feeds):
    """modelog.registry.v1.CollaborationService."""
