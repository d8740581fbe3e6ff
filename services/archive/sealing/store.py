"""Where records lie: an OCI image layout each, `sha256/<digest of manifest.json>/`, its index written last.

A crash at any moment leaves either no index, and then no record, or a whole one. The name is the digest of the
manifest, which holds the digest of every file: making a record again ends in the same place and the same bytes, and a
record whose index lies there is complete.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from modelog.sdk.store import file_chunks
from services.archive.sealing import image
from services.archive.sealing.content import ARTIFACT, MANIFEST
from services.archive.sealing.contents import Contents, Folder, Image
from services.archive.sealing.image import Blob, blob_key, blob_of
from services.archive.sealing.objects import Objects

_DIGEST = re.compile(r"[0-9a-f]{64}")

MakeManifest = Callable[[Mapping[str, Mapping[str, Any]]], bytes]


class ArtifactTrouble(Exception):
    """The artifact is missing or is not what the registry recorded. reason is UPPER_SNAKE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Named(NamedTuple):
    """What a record is called, and the version it preserves."""

    record: str
    version: str


class Written(NamedTuple):
    """A record in the store. size_bytes: over all files, the manifest included; file_count: without it.

    image_sha256: digest of the image's manifest.
    """

    manifest_sha256: str
    size_bytes: int
    file_count: int
    image_sha256: str


class RecordStore:
    """Records in a folder or a bucket, and the artifacts they are copied from, in another."""

    def __init__(self, records: str | Path, artifacts: str | Path) -> None:
        """Addresses: folders, or `s3://bucket/prefix` and the like."""
        self._address = records
        self._objects = Objects(records)
        self.artifacts = Objects(artifacts)

    def open(self, manifest_sha256: str) -> Contents:
        """A record, in whichever form it was sealed."""
        below = f"sha256/{manifest_sha256}/"
        folder = self._objects.folder
        if folder is not None and (folder / below / MANIFEST).exists():
            return Folder(folder / below)
        return Image(self._objects, below)

    def address(self, manifest_sha256: str) -> str:
        """Where a record lies, as other tools are told."""
        return f"{str(self._address).rstrip('/')}/sha256/{manifest_sha256}"

    def write(self, named: Named, artifact_sha256: str, files: Mapping[str, bytes], manifest: MakeManifest) -> Written:
        """Blocking. ArtifactTrouble when the artifact cannot be copied; OSError when a store fails."""
        artifact = self._artifact(artifact_sha256)
        listed: dict[str, dict[str, Any]] = {ARTIFACT: {"sha256": artifact.sha256, "bytes": artifact.size_bytes}}
        for name, content in sorted(files.items()):
            listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        contents = {name: content for name, content in sorted(files.items()) if not image.is_packed(name)}
        contents[image.EVIDENCE] = image.packed(files)
        layers = [artifact, *(blob_of(name, content) for name, content in contents.items())]
        contents[MANIFEST] = manifest(listed)
        config = blob_of(MANIFEST, contents[MANIFEST])
        whole = image.image_manifest(*named, config, layers)
        contents["image"] = whole
        below, tied = f"sha256/{config.sha256}/", blob_of("image", whole)
        if not self._objects.has(below + image.INDEX):
            self._write(below, artifact, contents, image.index(named.record, tied))
        size = config.size_bytes + sum(int(one["bytes"]) for one in listed.values())
        return Written(config.sha256, size, len(listed), tied.sha256)

    def _write(self, below: str, artifact: Blob, contents: Mapping[str, bytes], index: bytes) -> None:
        keys = [below + blob_key(artifact.sha256)]
        with _lying_here(self.artifacts, f"sha256/{artifact.sha256}") as chunks:
            self._objects.put(keys[0], _checked(chunks, artifact.sha256))
        for name, content in contents.items():
            keys.append(below + blob_key(blob_of(name, content).sha256))
            self._objects.put(keys[-1], content)
        keys.append(below + image.LAYOUT)
        self._objects.put(keys[-1], image.LAYOUT_BYTES)
        self._objects.settled(keys)
        self._objects.create(below + image.INDEX, index)
        self._objects.settled([below + image.INDEX])

    def restore(self, manifest_sha256: str, sha256: str) -> bool:
        """Puts a record's artifact back to the artifacts; False when it was there. ArtifactTrouble, OSError."""
        key = f"sha256/{sha256}"
        if self.artifacts.has(key):
            return False
        lying = f"sha256/{manifest_sha256}/{blob_key(sha256)}"
        if isinstance(self.open(manifest_sha256), Folder):
            lying = f"sha256/{manifest_sha256}/{ARTIFACT}"
        with _lying_here(self._objects, lying) as chunks:
            self.artifacts.put(key, _checked(chunks, sha256))
        self.artifacts.settled([key])
        return True

    def sweep(self) -> None:
        """Removes what crashes left half written."""
        self._objects.sweep()

    def _artifact(self, sha256: str) -> Blob:
        if not _DIGEST.fullmatch(sha256):  # It becomes part of a key.
            raise ArtifactTrouble("ARTIFACT_MISSING", f"{sha256!r} is no digest of an artifact")
        try:
            return Blob(ARTIFACT, sha256, self.artifacts.size_bytes(f"sha256/{sha256}"))
        except FileNotFoundError as error:
            raise ArtifactTrouble("ARTIFACT_MISSING", f"there is no artifact {sha256} in the store: {error}") from error


@contextmanager
def _lying_here(objects: Objects, key: str) -> Iterator[Iterator[bytes]]:
    """The parts of an object; out of a bucket by way of a file, for it cannot be got while something is being put."""
    if objects.folder is not None:
        yield objects.chunks(key)
        return
    with tempfile.TemporaryFile() as file:
        for chunk in objects.chunks(key):
            file.write(chunk)
        file.seek(0)
        yield file_chunks(file)


def _checked(chunks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """The same parts, hashed while they are read, so that what is stored is what was hashed.

    ArtifactTrouble in place of the end when they have another digest.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        text = f"the artifact stored as {sha256} is {digest.hexdigest()}: put the right file back and retry"
        raise ArtifactTrouble("ARTIFACT_CHANGED", text)
