"""What a version's files are: their digest, computed while they pass, and what the MLmodel file says of them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelog.mlflow.records import File
from modelog.mlflow.server import MlflowError, Server

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Artifact

FORMAT = "mlflow"
_DESCRIPTION = "MLmodel"
_MOST_DESCRIPTION_BYTES = 4 * 1024 * 1024
_MOST_FILES = 10_000
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version's artifact as modelog keeps it, and its MLmodel file, read; empty where there is none."""

    artifact: "Artifact"
    description: dict[str, Any]


def fetch(server: Server, uri: str) -> Fetched:
    """Reads every file below an address of the server's proxy once. MlflowError for what the proxy does not give."""
    from modelog.registry.v1.types_pb2 import Artifact

    folder = _proxied(server, uri)
    digests: dict[str, str] = {}
    size_bytes, description = 0, b""
    for file in _below(server, folder, "", _DEEPEST):
        digest, before = hashlib.sha256(), size_bytes
        for chunk in server.content(f"{folder}/{file.path}"):
            digest.update(chunk)
            size_bytes += len(chunk)
            if file.path == _DESCRIPTION and len(description) <= _MOST_DESCRIPTION_BYTES:
                description += chunk
        if file.size_bytes and size_bytes - before != file.size_bytes:
            raise MlflowError("ARTIFACT_INCOMPLETE", f"{file.path} has {file.size_bytes} bytes, others came")
        digests[file.path] = digest.hexdigest()
        if len(digests) > _MOST_FILES:
            raise MlflowError("TOO_MANY_FILES", f"{uri} holds more than {_MOST_FILES} files")
    if not digests:
        raise MlflowError("ARTIFACT_MISSING", f"there is no file at {uri}; it may have been deleted")
    artifact = Artifact(uri=_absolute(server, folder), sha256=folder_digest(digests), size_bytes=size_bytes)
    artifact.format = FORMAT
    return Fetched(artifact, described(description))


def folder_digest(digests: dict[str, str]) -> str:
    """SHA-256 over one line `path NUL sha256 LF` for each file, by path as bytes of UTF-8. digests: hex by path."""
    lines = sorted(f"{path}\0{digest}\n".encode() for path, digest in digests.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


def described(raw: bytes) -> dict[str, Any]:
    """An MLmodel file; empty when it is none."""
    from modelog.mlflow.plain_yaml import plain

    try:
        said = plain(raw) if len(raw) <= _MOST_DESCRIPTION_BYTES else None
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _below(server: Server, folder: str, inside: str, deepest: int) -> Iterator[File]:
    """Every file below a folder, with its path from there."""
    if not deepest:
        raise MlflowError("TOO_DEEP", f"{folder} holds folders in folders without an end")
    for entry in server.files(f"{folder}/{inside}".rstrip("/")):
        name = entry.path.rstrip("/").rpartition("/")[2]
        if name in ("", ".", ".."):
            raise MlflowError("PATH_FORMAT", f"{folder} holds {entry.path!r}, which is no file's name")
        path = f"{inside}/{name}" if inside else name
        if entry.folder:
            yield from _below(server, folder, path, deepest - 1)
        else:
            yield File(path, folder=False, size_bytes=entry.size_bytes)


def _proxied(server: Server, uri: str) -> str:
    """The path below the proxy. What the server does not hand out itself cannot be digested here."""
    parts = urlsplit(uri)
    own = not parts.netloc or parts.netloc == urlsplit(server.uri).netloc
    if parts.scheme != "mlflow-artifacts" or not own or not parts.path.strip("/"):
        raise MlflowError(
            "ARTIFACT_NOT_PROXIED",
            f"{uri or 'the artifact'} is not handed out by the tracking server; serve it with --artifacts-destination",
        )
    return parts.path.strip("/")


def _absolute(server: Server, folder: str) -> str:
    """An address that says of which server it is, which MLflow's clients understand."""
    return f"mlflow-artifacts://{urlsplit(server.uri).netloc}/{folder}"
