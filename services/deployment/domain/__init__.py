"""What may happen to environments, endpoints and rollouts. Pure: no clock, no ids of its own, no I/O."""

from access.fold import KNOWN_PROJECT
from kernel.fold import kind
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.analysis_pb2 import KnownMonitor
from services.deployment.domain.endpoint import evolve_endpoint
from services.deployment.domain.environment import evolve_environment
from services.deployment.domain.monitored import MONITOR_HEARD, evolve_known_monitor
from services.deployment.domain.rollout_fold import evolve_rollout
from services.deployment.domain.version import HEARD, evolve_known_version

ENVIRONMENT = kind("deployment", "projects/*/environments/*", types.Environment, evolve_environment)
ENDPOINT = kind("deployment", "projects/*/endpoints/*", types.Endpoint, evolve_endpoint)
ROLLOUT = kind("deployment", "projects/*/endpoints/*/rollouts/#", types.Rollout, evolve_rollout)
KNOWN_VERSION = kind(
    "registry",
    "projects/*/models/*/versions/#",
    types.KnownVersion,
    evolve_known_version,
    table="known_version",
    listens=HEARD,
)
KNOWN_MONITOR = kind(
    "monitoring",
    "projects/*/monitors/*",
    KnownMonitor,
    evolve_known_monitor,
    table="known_monitor",
    listens=MONITOR_HEARD,
)
KINDS = (ENVIRONMENT, ENDPOINT, ROLLOUT, KNOWN_VERSION, KNOWN_MONITOR, KNOWN_PROJECT)
