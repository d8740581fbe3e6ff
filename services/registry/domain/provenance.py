"""Trusted keys of a project and signed statements of a version, as folded, and what gates see of them."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import artifacts_events_pb2 as facts
from modelog.registry.v1.artifacts_pb2 import PROVENANCE_OUTCOME_VERIFIED, TrustedKey
from modelog.registry.v1.types_pb2 import Project, Version


def seen_of(version: Version, keys: Mapping[str, TrustedKey]) -> dict[str, Any]:
    """What gates see: of statements only those whose key is still trusted, however they were verified once."""
    believed = [
        one
        for one in version.provenance
        if one.outcome == PROVENANCE_OUTCOME_VERIFIED
        and any(key in keys and not keys[key].revoked_by for key in one.key_ids)
    ]
    return {
        "verified": bool(believed),
        "statements": len(version.provenance),
        "keys": sorted({key for one in believed for key in one.key_ids if key in keys and not keys[key].revoked_by}),
        "builders": sorted({one.builder for one in believed if one.builder}),
        "predicate_types": sorted({one.predicate_type for one in believed}),
    }


def evolve_provenance(version: Version, event: Message, envelope: Fact) -> bool:
    """Folds the event if it is one of these."""
    match event:
        case facts.ProvenanceRecorded():
            one = version.provenance.add()
            one.CopyFrom(event.provenance)
            one.recorded_by = envelope.actor.id
            one.record_time.CopyFrom(envelope.recorded_at)
        case _:
            return False
    return True


def evolve_trusted_keys(project: Project, event: Message, envelope: Fact) -> bool:
    """Folds the event if it is one of these."""
    match event:
        case facts.TrustedKeyAdded():
            key = TrustedKey(
                public_key=event.public_key,
                algorithm=event.algorithm,
                description=event.description,
                added_by=envelope.actor.id,
            )
            key.add_time.CopyFrom(envelope.recorded_at)
            project.trusted_keys[event.key_id].CopyFrom(key)
        case facts.TrustedKeyRevoked():
            key = project.trusted_keys[event.key_id]
            key.revoked_by = envelope.actor.id
            key.revoke_time.CopyFrom(envelope.recorded_at)
        case _:
            return False
    return True
