"""What a version's files are: their digests, their formats, what their pickles name, and what the MLmodel file says."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelog.artifacts.folders import MOST_FILES, fault_of
from modelog.mlflow.records import File
from modelog.mlflow.server import MlflowError, Server

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Artifact

FORMAT = "mlflow"
_DESCRIPTION = "MLmodel"
_MOST_DESCRIPTION_BYTES = 4 * 1024 * 1024
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version's artifact as modelog keeps it, and its MLmodel file, read; empty where there is none."""

    artifact: "Artifact"
    description: dict[str, Any]


def fetch(server: Server, uri: str) -> Fetched:
    """Reads every file below an address of the server's proxy once, into a folder that is gone afterwards: what its
    pickles name is listed as for any other artifact. MlflowError for what the proxy does not give."""
    from modelog.sdk.store_transfer import described as artifact_of

    folder = _proxied(server, uri)
    with TemporaryDirectory(prefix="modelog-import-") as kept:
        for number, file in enumerate(_below(server, folder, "", _DEEPEST)):
            if number >= MOST_FILES:
                raise MlflowError("TOO_MANY_FILES", f"{uri} holds more than {MOST_FILES} files")
            _keep(server, folder, file, Path(kept))
        try:
            artifact = artifact_of(Path(kept), artifact_format=FORMAT)
        except ValueError as error:
            raise MlflowError("ARTIFACT_MISSING", f"{uri}: {error}; files may have been deleted") from error
        about = Path(kept, _DESCRIPTION)
        description = about.read_bytes() if about.is_file() else b""
    artifact.uri = _absolute(server, folder)
    return Fetched(artifact, described(description))


def _keep(server: Server, folder: str, file: File, kept: Path) -> None:
    if fault := fault_of(file.path):
        raise MlflowError("PATH_FORMAT", f"{folder} holds {file.path!r}: {fault}")
    path, size_bytes = kept / file.path, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as written:
        for chunk in server.content(f"{folder}/{file.path}"):
            written.write(chunk)
            size_bytes += len(chunk)
    if file.size_bytes and size_bytes != file.size_bytes:
        raise MlflowError("ARTIFACT_INCOMPLETE", f"{file.path} has {file.size_bytes} bytes, others came")


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
