"""Signing for a version, and verifying what was signed for it, without believing the registry."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelog.provenance.keys import Key
    from modelog.registry.v1.artifacts_pb2 import ProvenanceStatement
    from modelog.registry.v1.types_pb2 import Version


class Verified(NamedTuple):
    """What a statement's own bytes tell. signed_by: ids of the keys that signed it, of those that were asked about."""

    predicate_type: str = ""
    signed_by: tuple[str, ...] = ()
    about_the_artifact: bool = False
    problem: str = ""

    @property
    def good(self) -> bool:
        return self.about_the_artifact and bool(self.signed_by)


def sign_provenance(version: "Version", key: str | Path, *, builder: str = "", password: str = "") -> bytes:
    """SLSA provenance of a version, signed: the envelope for RecordProvenance. ValueError for what is no such key.

    key: file of a private key in PEM form. builder: who trained it, a URI; else the version's author.
    """
    from modelog.provenance.envelopes import seal
    from modelog.provenance.keys import private_key
    from modelog.provenance.statements import training

    signing = private_key(Path(key).read_bytes(), password)
    return seal(training(version, builder=builder or f"modelog:{version.author}", now=datetime.now(UTC)), signing)


def verify_provenance(recorded: "ProvenanceStatement", version: "Version", keys: "Sequence[Key]") -> Verified:
    """Whether a recorded statement is about this version's artifact, and which of the keys signed it."""
    from modelog.provenance.envelopes import BadEnvelope, opened
    from modelog.provenance.statements import read

    try:
        envelope = opened(recorded.envelope)
        statement = read(envelope.payload)
    except BadEnvelope as error:
        return Verified(problem=str(error))
    about = statement.is_about(version.artifact.sha256, version.artifact.files)
    signers = tuple(key.id for key in envelope.signed_by(keys))
    problem = "" if signers else "no trusted key has signed it"
    return Verified(statement.predicate_type, signers, about, problem if about else "it is about another artifact")
