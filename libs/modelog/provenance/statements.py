"""In-toto statements (v1): what they say about which bytes. SLSA provenance is made here, model signatures are read."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from modelog.provenance.envelopes import BadEnvelope, parsed

STATEMENT = "https://in-toto.io/Statement/v1"
SLSA = "https://slsa.dev/provenance/v1"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
BUILD_TYPE = "https://modelog.dev/training/v1"
_MOST_SUBJECTS = 64
_MOST_RESOURCES = 1024
# What a model signature may leave out, if it says so: itself, and what git keeps beside the model.
_LEFT_OUT = re.compile(r"model\.sig|\.gitattributes|\.gitignore|\.git(hub)?(/.*)?")


class Statement(NamedTuple):
    """digests: SHA-256 of each subject. resources: files of a model signature, (name, SHA-256); ignored: what it is not
    about, as it says itself."""

    predicate_type: str
    digests: tuple[str, ...]
    builder: str
    resources: tuple[tuple[str, str], ...]
    ignored: frozenset[str] = frozenset()

    @property
    def is_model_signature(self) -> bool:
        return self.predicate_type == MODEL_SIGNATURE

    def is_about(self, sha256: str, files: Sequence[Any]) -> bool:
        """Whether it speaks of this artifact: a file by its digest, or a folder by its list or by all its files."""
        if not self.is_model_signature:
            return sha256 in self.digests
        if not files:
            return [digest for _, digest in self.resources] == [sha256]
        return sorted(self.resources) == sorted(
            (one.path, one.sha256) for one in files if not self._leaves_out(one.path)
        )

    def _leaves_out(self, path: str) -> bool:
        return path.partition("/")[0] in self.ignored and _LEFT_OUT.fullmatch(path) is not None


def read(payload: bytes) -> Statement:
    """The statement in a payload; BadEnvelope for what is none, or a model signature that contradicts itself."""
    value = parsed(payload)
    if value.get("_type") != STATEMENT:
        raise BadEnvelope(f"the payload is no {STATEMENT}")
    subjects, kind = value.get("subject"), value.get("predicateType")
    if not isinstance(subjects, list) or not 1 <= len(subjects) <= _MOST_SUBJECTS:
        raise BadEnvelope(f"the statement has to have 1 to {_MOST_SUBJECTS} subjects")
    if not isinstance(kind, str) or not 1 <= len(kind) <= 512:
        raise BadEnvelope("the statement says no predicateType")
    digests = tuple(_at(one, "digest", "sha256") for one in subjects)
    predicate = value.get("predicate")
    if kind == MODEL_SIGNATURE:
        return Statement(kind, digests, "", _resources(predicate, digests), _ignored(predicate))
    return Statement(kind, digests, _at(predicate, "runDetails", "builder", "id")[:512], ())


def _resources(predicate: Any, digests: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Every file of a model signature. Its one subject is the digest of the files' digests in their order."""
    listed = predicate.get("resources") if isinstance(predicate, dict) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_RESOURCES:
        raise BadEnvelope(f"the model signature has to list 1 to {_MOST_RESOURCES} files")
    if any(_at(one, "algorithm") != "sha256" for one in listed):
        raise BadEnvelope("the model signature has digests other than sha256 of whole files")
    found = tuple((_at(one, "name"), _at(one, "digest")) for one in listed)
    try:
        root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in found)).hexdigest()
    except ValueError as error:
        raise BadEnvelope("the model signature has a digest that is none") from error
    if tuple(digests) != (root,):
        raise BadEnvelope("the model signature contradicts itself: its subject is not the digest of its files")
    return found


def _ignored(predicate: Any) -> frozenset[str]:
    method = predicate.get("serialization")
    paths = method.get("ignore_paths") if isinstance(method, dict) else None
    return frozenset(one for one in paths if isinstance(one, str)) if isinstance(paths, list) else frozenset()


def _at(value: Any, *path: str) -> str:
    """The text at a path inside of JSON; empty when there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def training(version: Any, *, builder: str, now: datetime) -> bytes:
    """SLSA provenance of a version's artifact: what is known of its making, as a statement to be signed.

    version: a Version. builder: who trained it, a URI, for example the address of a pipeline's run.
    """
    artifact, source = version.artifact, version.source
    materials = [
        _material(f"git+{source.repository}" if source.repository else "", {"gitCommit": source.commit}),
        *(_material(data.uri or data.name, {"sha256": data.sha256}) for data in version.training_data),
    ]
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": version.name, "digest": {"sha256": artifact.sha256}}],
        "predicateType": SLSA,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "source": _set({"repository": source.repository, "path": source.path, "branch": source.branch}),
                    "hyperparameters": dict(sorted(version.hyperparameters.items())),
                },
                "internalParameters": _set(
                    {"framework": version.framework, "dirtyTree": source.dirty, "parentVersion": version.parent_version}
                ),
                "resolvedDependencies": [one for one in materials if one],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {"finishedOn": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
            },
        },
    }
    return json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()


def _material(uri: str, digest: Mapping[str, str]) -> dict[str, Any]:
    return _set({"uri": uri, "digest": _set(digest)})


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {name: value for name, value in values.items() if value}
