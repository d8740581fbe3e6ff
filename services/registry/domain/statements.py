"""Signed statements about artifacts, verified when they are recorded, and the keys that a project trusts for that."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from modelog.provenance.envelopes import BadEnvelope, Envelope, opened
from modelog.provenance.keys import BadKey, Key, public_key
from modelog.provenance.statements import Statement, read
from modelog.registry.v1 import artifacts_events_pb2 as facts
from modelog.registry.v1.artifacts_pb2 import (
    PROVENANCE_KIND_MODEL_SIGNATURE,
    PROVENANCE_KIND_STATEMENT,
    PROVENANCE_OUTCOME_UNKNOWN_KEY,
    PROVENANCE_OUTCOME_VERIFIED,
    Provenance,
    TrustedKey,
)
from modelog.registry.v1.types_pb2 import Project, Version
from services.registry.domain.project import present
from services.registry.domain.version import living

# Revoked ones stay, so that what they verified once can be judged again.
_MOST_KEYS = 64
_MOST_STATEMENTS = 16


def key_in(pem: str) -> Key:
    """The key of a request; Invalid for what is none."""
    try:
        return public_key(pem)
    except BadKey as error:
        raise invalid_field("public_key", str(error), "KEY_FORMAT") from error


def add_trusted_key(project: Project, *, key: Key, description: str) -> facts.TrustedKeyAdded | None:
    present(project)
    known = project.trusted_keys.get(key.id)
    if known is not None and known.revoked_by:
        raise NotAllowedNow("KEY_REVOKED", f"key {key.id} was revoked and does not come back; make another one")
    if known is not None and known.description == description:
        return None
    if known is None and len(project.trusted_keys) >= _MOST_KEYS:
        raise NotAllowedNow("TOO_MANY_KEYS", f"{project.name} has {_MOST_KEYS} keys, revoked ones included")
    return facts.TrustedKeyAdded(key_id=key.id, public_key=key.pem, algorithm=key.algorithm, description=description)


def revoke_trusted_key(project: Project, *, key_id: str) -> facts.TrustedKeyRevoked | None:
    present(project)
    if key_id not in project.trusted_keys:
        raise NotFound("KEY_NOT_TRUSTED", f"{project.name} does not trust key {key_id}; `modelog keys list` shows them")
    if project.trusted_keys[key_id].revoked_by:
        return None
    return facts.TrustedKeyRevoked(key_id=key_id)


def record_provenance(version: Version, project: Project, *, envelope: bytes) -> facts.ProvenanceRecorded | None:
    """What no trusted key has signed is recorded as that; what is about another artifact, or was changed, is not."""
    living(version)
    sha256 = hashlib.sha256(envelope).hexdigest()
    if any(one.envelope_sha256 == sha256 for one in version.provenance):
        return None
    if len(version.provenance) >= _MOST_STATEMENTS:
        raise NotAllowedNow("TOO_MANY_STATEMENTS", f"{version.name} has {_MOST_STATEMENTS} signed statements already")
    signed, statement = _opened(envelope)
    if not statement.is_about(version.artifact.sha256, version.artifact.files):
        raise NotAllowedNow(
            "SUBJECT_MISMATCH", f"the statement is not about the artifact of {version.name}, {version.artifact.sha256}"
        )
    signers = _signers(signed, project.trusted_keys)
    return facts.ProvenanceRecorded(
        provenance=Provenance(
            number=len(version.provenance) + 1,
            kind=PROVENANCE_KIND_MODEL_SIGNATURE if statement.is_model_signature else PROVENANCE_KIND_STATEMENT,
            predicate_type=statement.predicate_type,
            outcome=PROVENANCE_OUTCOME_VERIFIED if signers else PROVENANCE_OUTCOME_UNKNOWN_KEY,
            key_ids=[key.id for key in signers],
            envelope_sha256=sha256,
            builder=statement.builder,
        ),
        envelope=envelope,
        keys_revision=project.revision,
    )


def recorded(version: Version, envelope: bytes) -> Provenance | None:
    """What a version says of a statement; None when it has none of these bytes."""
    sha256 = hashlib.sha256(envelope).hexdigest()
    return next((one for one in version.provenance if one.envelope_sha256 == sha256), None)


def _opened(envelope: bytes) -> tuple[Envelope, Statement]:
    try:
        signed = opened(envelope)
        return signed, read(signed.payload)
    except BadEnvelope as error:
        raise invalid_field("envelope", str(error), "ENVELOPE") from error


def _signers(signed: Envelope, keys: Mapping[str, TrustedKey]) -> list[Key]:
    """The trusted keys that signed. A signature in the name of a known key that is not its, or of a revoked one: no."""
    known = [_loaded(one.public_key) for one in keys.values()]
    made_it = signed.signed_by(known)
    for key in known:
        if signed.names(key) and key not in made_it:
            raise NotAllowedNow(
                "SIGNATURE_INVALID", f"a signature says it is by key {key.id}, and is not: the statement was changed"
            )
    revoked = [key for key in made_it if keys[key.id].revoked_by]
    if revoked and len(revoked) == len(made_it):
        raise NotAllowedNow("KEY_REVOKED", f"key {revoked[0].id} is revoked; sign the statement with another key")
    return [key for key in made_it if not keys[key.id].revoked_by]


@lru_cache(maxsize=1024)
def _loaded(pem: str) -> Key:
    return public_key(pem)
