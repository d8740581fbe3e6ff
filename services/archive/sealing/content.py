"""The files of a record, all but the artifact and the manifest, out of what the log says. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.archive.bundle import as_json, policy_json, proof_text
from services.archive.checkpoint import Head
from services.archive.sealing.card import model_card
from services.archive.sealing.story import Told, alerts, readable, serving_intervals

FORMAT = "modelog-record/1"
ARTIFACT = "artifact"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Subject:
    """Which record: its name, the version, the artifact's digest, and the revision up to which the log counts."""

    record: str
    version: str
    artifact_sha256: str
    cut_revision: int

    @property
    def model(self) -> str:
        return self.version.rpartition("/versions/")[0]


@dataclass(frozen=True, slots=True)
class Proven:
    """The checkpoint that covers the cut, the log's public keys, and each fact's inclusion proof by revision."""

    head: Head
    note: str
    keys: Sequence[Mapping[str, Any]]
    paths: Mapping[int, Sequence[bytes]]


def fact_name(revision: int) -> str:
    return f"facts/{revision:012d}.bin"


def proof_name(revision: int) -> str:
    return f"proofs/{revision:012d}.tlog-proof"


def small_files(subject: Subject, facts: Sequence[Told], proven: Proven) -> dict[str, bytes]:
    """Path and content. facts: in order of the log, none twice."""
    serving = serving_intervals(facts, subject.version)
    lines = (json.dumps(readable(one), sort_keys=True, ensure_ascii=False) for one in facts)
    files = {
        "checkpoint": proven.note.encode(),
        "policy.json": policy_json(proven.head.origin, proven.keys),
        "model-card.md": model_card(facts, subject.model, subject.version, serving).encode(),
        "serving.json": as_json(serving),
        "alerts.json": as_json(alerts(facts)),
        "facts.jsonl": "".join(line + "\n" for line in lines).encode(),
    }
    for one in facts:
        files[fact_name(one.revision)] = one.payload
        files[proof_name(one.revision)] = proof_text(one.revision - 1, proven.paths[one.revision], proven.note).encode()
    return files


def manifest(subject: Subject, head: Head, facts: Sequence[Told], files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """What the record is and the SHA-256 and length of every file of it."""
    return as_json(
        {
            "format": FORMAT,
            "record": subject.record,
            "version": subject.version,
            "cut_revision": subject.cut_revision,
            "checkpoint": {"origin": head.origin, "size": head.size, "root": head.root.hex()},
            "fact_revisions": [one.revision for one in facts],
            "files": dict(files),
        }
    )
