"""Artifacts in the content-addressed folder that the services read, and where their code came from."""

import hashlib
import os
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from modelog.sdk import settings

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Artifact, GitSource

_CHUNK_BYTES = 1024 * 1024
_GIT_SECONDS = 30.0


def upload_artifact(path: str | Path, *, folder: str | Path | None = None, artifact_format: str = "") -> "Artifact":
    """Copies a file to `<folder>/sha256/<hex>` and returns what to register, with the uri `cas:sha256/<hex>`.

    folder: else MODELOG_ARTIFACTS_DIR, else that of the nearest suite. artifact_format: else the file's suffix. The
    same bytes are stored once; a copy that breaks off is never seen under the final name.
    """
    from modelog.registry.v1.types_pb2 import Artifact

    source = Path(path)
    store = settings.artifacts_dir(folder) / "sha256"
    store.mkdir(parents=True, exist_ok=True)
    # A name of its own, so that two who store the same bytes at once do not write into each other's copy.
    part = store / f".{secrets.token_hex(8)}.part"
    try:
        digest, size_bytes = _copy(source, part)
        stored = store / digest
        if not stored.exists():
            part.chmod(0o444)
            part.replace(stored)
            _sync(store)
    finally:
        part.unlink(missing_ok=True)
    kind = artifact_format or source.suffix.lstrip(".").lower() or "binary"
    return Artifact(uri=f"cas:sha256/{digest}", sha256=digest, size_bytes=size_bytes, format=kind)


def describe_artifact(path: str | Path, uri: str, *, artifact_format: str = "") -> "Artifact":
    """What to register for a file that is kept elsewhere, at `uri`; read once for its digest."""
    from modelog.registry.v1.types_pb2 import Artifact

    source = Path(path)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kind = artifact_format or source.suffix.lstrip(".").lower() or "binary"
    return Artifact(uri=uri, sha256=digest, size_bytes=source.stat().st_size, format=kind)


def git_source(path: str | Path = ".") -> "GitSource":
    """The commit of the working tree that a file or folder lies in, and whether the tree differs from it.

    ValueError when it is in none, or git is not there. Credentials inside the repository's address are left out.
    """
    from modelog.registry.v1.types_pb2 import GitSource

    place = Path(path).resolve()
    folder = place if place.is_dir() else place.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    inside = place.relative_to(Path(top).resolve()).as_posix()
    return GitSource(
        repository=_without_credentials(_git(folder, "config", "--get", "remote.origin.url", default="") or top),
        commit=_git(folder, "rev-parse", "HEAD", default=""),
        branch=_git(folder, "symbolic-ref", "--short", "--quiet", "HEAD", default=""),
        path="" if inside == "." else inside,
        dirty=bool(_git(folder, "status", "--porcelain", "--untracked-files=normal")),
    )


def _copy(source: Path, target: Path) -> tuple[str, int]:
    """Digest and length, computed while the bytes pass; the copy is on the disk when this returns."""
    digest, size_bytes = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(_CHUNK_BYTES):
            digest.update(chunk)
            writing.write(chunk)
            size_bytes += len(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest(), size_bytes


def _sync(folder: Path) -> None:
    """Makes a new name in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _git(folder: Path, *arguments: str, default: str | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"git could not be run: {error}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    if default is not None:
        return default
    raise ValueError(f"{folder} is in no git working tree: {done.stderr.strip()}")


def _without_credentials(address: str) -> str:
    parts = urlsplit(address)
    if not parts.scheme or "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
