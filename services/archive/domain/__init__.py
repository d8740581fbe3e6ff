"""What may happen to the archive's resources. Pure: no clock, no ids of its own, no I/O."""

from access.fold import KNOWN_PROJECT
from kernel.fold import kind
from modelog.archive.v1 import types_pb2 as types
from modelog.archive.v1.erasures_pb2 import Erasure
from modelog.archive.v1.retentions_pb2 import Retention
from modelog.archive.v1.subscriptions_pb2 import Subscription
from services.archive.domain.erasure import evolve_erasure
from services.archive.domain.hold import evolve_hold
from services.archive.domain.known import KNOWN_VERSION
from services.archive.domain.record import evolve_record
from services.archive.domain.retention import evolve_retention
from services.archive.domain.subscription import evolve_subscription

RECORD = kind("archive", "projects/*/records/*", types.Record, evolve_record)
HOLD = kind("archive", "projects/*/holds/*", types.Hold, evolve_hold)
SUBSCRIPTION = kind("archive", "projects/*/subscriptions/*", Subscription, evolve_subscription)
ERASURE = kind("archive", "projects/*/erasures/*", Erasure, evolve_erasure)
RETENTION = kind("archive", "projects/*/retentions/*", Retention, evolve_retention)
KINDS = (RECORD, HOLD, RETENTION, SUBSCRIPTION, ERASURE, KNOWN_PROJECT, KNOWN_VERSION)

__all__ = ["ERASURE", "HOLD", "KINDS", "KNOWN_PROJECT", "KNOWN_VERSION", "RECORD", "RETENTION", "SUBSCRIPTION"]
