"""Where records lie: <folder>/sha256/<digest of the manifest>/..., written beside, synced, and renamed as a whole.

A crash at any moment leaves either no record or a whole one, and some rubbish under tmp/ that the next start sweeps.
The name is the digest of the manifest, which holds the digest of every file: making a record again ends in the same
place, and a record that lies there is complete.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from services.archive.files import sync_folder, write_synced
from services.archive.sealing.content import ARTIFACT, MANIFEST

_CHUNK_BYTES = 1 << 20
_RUBBISH_SECONDS = 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")

MakeManifest = Callable[[Mapping[str, Mapping[str, Any]]], bytes]


class ArtifactTrouble(Exception):
    """The artifact is missing or is not what the registry recorded. reason is UPPER_SNAKE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Written(NamedTuple):
    """A record in the store. size_bytes: over all files, the manifest included; file_count: without it."""

    manifest_sha256: str
    size_bytes: int
    file_count: int


class RecordStore:
    """Folders of records below one folder, and the artifacts they are copied from."""

    def __init__(self, folder: Path, artifacts: Path) -> None:
        self._folder = folder
        self._artifacts = artifacts

    def path(self, manifest_sha256: str) -> Path:
        return self._folder / "sha256" / manifest_sha256

    def write(self, artifact_sha256: str, files: Mapping[str, bytes], manifest: MakeManifest) -> Written:
        """Blocking. ArtifactTrouble when the artifact cannot be copied; OSError when the disk fails."""
        beside = self._folder / "tmp" / secrets.token_hex(8)
        beside.mkdir(parents=True)
        try:
            listed = {ARTIFACT: self._copy_artifact(artifact_sha256, beside / ARTIFACT)}
            for name, content in sorted(files.items()):
                (beside / name).parent.mkdir(exist_ok=True)
                write_synced(beside / name, content, 0o444)
                listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            last = manifest(listed)
            write_synced(beside / MANIFEST, last, 0o444)
            for folder in (*(one for one in beside.iterdir() if one.is_dir()), beside):
                sync_folder(folder)
            digest = hashlib.sha256(last).hexdigest()
            self._publish(beside, digest)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        size = len(last) + sum(int(one["bytes"]) for one in listed.values())
        return Written(digest, size, len(listed))

    def sweep(self) -> None:
        """Removes what crashes left behind, unless it is so young that somebody may be at work on it."""
        tmp = self._folder / "tmp"
        for one in tmp.iterdir() if tmp.exists() else ():
            if time.time() - one.stat().st_mtime > _RUBBISH_SECONDS:
                shutil.rmtree(one, ignore_errors=True)

    def _publish(self, beside: Path, digest: str) -> None:
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            return
        try:
            beside.rename(target)
        except OSError:
            if not target.exists():
                raise
        sync_folder(target.parent)

    def _copy_artifact(self, sha256: str, target: Path) -> dict[str, Any]:
        """Copies while hashing, so that what is stored is what was hashed."""
        if not _DIGEST.fullmatch(sha256):  # It becomes part of a path.
            raise ArtifactTrouble("ARTIFACT_MISSING", f"{sha256!r} is no digest of an artifact")
        source = self._artifacts / "sha256" / sha256
        digest, length = hashlib.sha256(), 0
        try:
            original = source.open("rb")
        except OSError as error:
            raise ArtifactTrouble("ARTIFACT_MISSING", f"there is no artifact {sha256} in the store: {error}") from error
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with original, os.fdopen(descriptor, "wb") as copy:
            while chunk := original.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
                length += len(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != sha256:
            text = f"the artifact stored as {sha256} is {digest.hexdigest()}: put the right file back and retry"
            raise ArtifactTrouble("ARTIFACT_CHANGED", text)
        return {"sha256": sha256, "bytes": length}
