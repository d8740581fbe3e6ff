"""What may happen to projects, models and versions. Pure: no clock, no ids of its own, no I/O."""

from kernel.fold import kind
from modelog.registry.v1 import collaboration_pb2 as collaboration
from modelog.registry.v1 import governance_pb2 as governance
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1 import webhooks_pb2 as webhook_types
from modelog.registry.v1.declare_pb2 import KnownIncident
from services.registry.domain import hold
from services.registry.domain.endpoint import HEARD, evolve_endpoint
from services.registry.domain.incidents import INCIDENTS, evolve_incident
from services.registry.domain.model import evolve_model
from services.registry.domain.project import evolve_project
from services.registry.domain.threads import evolve_thread
from services.registry.domain.version import evolve_version
from services.registry.domain.watches import evolve_watch
from services.registry.domain.webhooks import evolve_webhook

PROJECT = kind("registry", "projects/*", types.Project, evolve_project)
MODEL = kind("registry", "projects/*/models/*", types.Model, evolve_model)
VERSION = kind("registry", "projects/*/models/*/versions/#", types.Version, evolve_version)
THREAD = kind("registry", "projects/*/models/*/threads/#", collaboration.Thread, evolve_thread)
WATCH = kind("registry", "projects/*/watches/*", collaboration.Watch, evolve_watch, table="watch")
WEBHOOK = kind("registry", "projects/*/webhooks/*", webhook_types.Webhook, evolve_webhook)
KNOWN_ENDPOINT = kind(
    "deployment",
    "projects/*/endpoints/*",
    types.KnownEndpoint,
    evolve_endpoint,
    table="known_endpoint",
    listens=HEARD,
)
KNOWN_HOLD = kind(
    "archive", "projects/*/holds/*", governance.KnownHold, hold.evolve_hold, table="known_hold", listens=hold.HEARD
)
KNOWN_ROLLOUT, KNOWN_ALERT, KNOWN_RETRAINING = (
    kind(service, pattern, KnownIncident, evolve_incident, table=table, listens=INCIDENTS)
    for service, pattern, table in (
        ("deployment", "projects/*/endpoints/*/rollouts/#", "known_rollout"),
        ("monitoring", "projects/*/monitors/*/alerts/#", "known_alert"),
        ("monitoring", "projects/*/monitors/*/retrainings/#", "known_retraining"),
    )
)
KINDS = (
    PROJECT,
    MODEL,
    VERSION,
    THREAD,
    WATCH,
    WEBHOOK,
    KNOWN_ENDPOINT,
    KNOWN_HOLD,
    KNOWN_ROLLOUT,
    KNOWN_ALERT,
    KNOWN_RETRAINING,
)
