"""What may happen to records and holds. Pure: no clock, no ids of its own, no I/O."""

from access.fold import KNOWN_PROJECT
from kernel.fold import kind
from modelog.archive.v1 import types_pb2 as types
from services.archive.domain.hold import evolve_hold
from services.archive.domain.record import evolve_record

RECORD = kind("archive", "projects/*/records/*", types.Record, evolve_record)
HOLD = kind("archive", "projects/*/holds/*", types.Hold, evolve_hold)
KINDS = (RECORD, HOLD, KNOWN_PROJECT)
