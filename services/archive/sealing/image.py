"""A record as an OCI image: which blobs there are, and the JSON that ties them together. Pure.

An image layout (OCI image-spec 1.1) of its own for each record, so any tool that knows layouts lists, copies and pulls
it. The record's manifest.json is the image's config; facts and proofs, which are many and small, lie in one tar.
"""

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.archive.bundle import as_json

LAYOUT, INDEX = "oci-layout", "index.json"
LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'
EVIDENCE = "evidence.tar"
ARTIFACT_TYPE = "application/vnd.modelog.record.v1"
CONFIG_TYPE = "application/vnd.modelog.record.manifest.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
_TYPES = {
    "artifact": "application/vnd.modelog.artifact.v1",
    "checkpoint": "application/vnd.modelog.checkpoint.v1",
    EVIDENCE: "application/vnd.modelog.evidence.v1.tar",
}
_ENDINGS = {".md": "text/markdown", ".json": "application/json", ".jsonl": "application/jsonl"}
_PACKED = ("facts/", "proofs/")


class Blob(NamedTuple):
    """One blob of the image: what it is called inside, its SHA-256 in hex, its length."""

    title: str
    sha256: str
    size_bytes: int


def blob_of(title: str, content: bytes) -> Blob:
    return Blob(title, hashlib.sha256(content).hexdigest(), len(content))


def blob_key(sha256: str) -> str:
    return f"blobs/sha256/{sha256}"


def is_packed(name: str) -> bool:
    """Whether a file of a record lies in the tar instead of being a blob itself."""
    return name.startswith(_PACKED)


def media_type(title: str) -> str:
    """By the name of a file of a record, or of the tar."""
    return _TYPES.get(title) or _ENDINGS.get(title[title.rfind(".") :], "application/octet-stream")


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of the facts and proofs among the files; the same files make the same bytes."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(filter(is_packed, files)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o444
            tar.addfile(member, io.BytesIO(files[name]))
    return sink.getvalue()


def unpacked(content: bytes) -> dict[str, bytes]:
    """What lies in such a tar. tarfile.TarError where it is none."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found


def image_manifest(record: str, version: str, config: Blob, layers: Sequence[Blob]) -> bytes:
    """The image's manifest. record and version: names, as annotations."""
    return as_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": _descriptor(config, CONFIG_TYPE),
            "layers": [
                {**_descriptor(one, media_type(one.title)), "annotations": {TITLE: one.title}} for one in layers
            ],
            "annotations": {"dev.modelog.record": record, "dev.modelog.version": version},
        }
    )


def index(record: str, manifest: Blob) -> bytes:
    """index.json: the one image of the layout, under the record's id."""
    entry = {
        **_descriptor(manifest, MANIFEST_TYPE),
        "artifactType": ARTIFACT_TYPE,
        "annotations": {REF_NAME: record.rpartition("/")[2]},
    }
    return as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})


def _descriptor(blob: Blob, type_: str) -> dict[str, Any]:
    return {"mediaType": type_, "digest": f"sha256:{blob.sha256}", "size": blob.size_bytes}
