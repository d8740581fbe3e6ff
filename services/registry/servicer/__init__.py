"""The door of the registry: request, verb, reply. One file for each resource, as in the domain."""

from services.registry.servicer.access import Access
from services.registry.servicer.feeds import Feeds
from services.registry.servicer.models import Models
from services.registry.servicer.people import People
from services.registry.servicer.projects import Projects
from services.registry.servicer.roles import Roles
from services.registry.servicer.threads import Threads
from services.registry.servicer.transitions import Transitions
from services.registry.servicer.versions import Versions
from services.registry.servicer.webhooks import WebhookServicer

__all__ = ["CollaborationServicer", "RegistryServicer", "WebhookServicer"]


class RegistryServicer(Projects, Roles, Access, Models, Versions, Transitions):
    """modelog.registry.v1.RegistryService."""


class CollaborationServicer(Threads, People, Feeds):
    """modelog.registry.v1.CollaborationService."""
