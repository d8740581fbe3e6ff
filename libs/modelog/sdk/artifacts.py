"""What to register for an artifact: put into a store, or described where it is kept."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelog.sdk.git import git_source
from modelog.sdk.store import Progress, Store, open_store, store_of

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Artifact, Version

__all__ = ["describe_artifact", "download_artifact", "git_source", "upload_artifact"]


def upload_artifact(
    path: str | Path,
    *,
    folder: str | Path | None = None,
    store: "str | Store | None" = None,
    artifact_format: str = "",
    progress: Progress | None = None,
) -> "Artifact":
    """Puts a file or folder into a content-addressed store and returns what to register.

    store: a path or address like `s3://bucket/prefix`; else MODELOG_STORE; else the folder that the services read,
    which `folder` names, else MODELOG_ARTIFACTS_DIR, else that of the nearest suite. artifact_format: else what content
    and name tell. The same bytes are stored once; what breaks off is never seen under the final name.
    """
    from modelog.sdk.store_folder import FolderStore
    from modelog.sdk.store_transfer import described, put

    source = Path(path)
    if folder is not None:
        target: Store = FolderStore(Path(folder), services=True)
    else:
        target = store if store is not None and not isinstance(store, str) else open_store(store)
    artifact = described(source, artifact_format=artifact_format)
    put(source, artifact, target, progress=progress)
    return artifact


def describe_artifact(path: str | Path, uri: str, *, artifact_format: str = "") -> "Artifact":
    """What to register for a file or folder that is kept elsewhere, at `uri`; read for its digest."""
    from modelog.sdk.store_transfer import described

    artifact = described(Path(path), artifact_format=artifact_format)
    artifact.uri = uri
    return artifact


def download_artifact(
    version: "Version",
    target: str | Path,
    *,
    store: "str | Store | None" = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Writes a version's artifact to `target`, which appears only once its digest is right.

    store: where to look in place of where the version says. WrongDigest, FileNotFoundError, FileExistsError.
    """
    from modelog.sdk.store_transfer import get

    artifact = version.artifact
    if store is None:
        source = store_of(artifact.uri, artifact.sha256)
    else:
        source = open_store(store) if isinstance(store, str) else store
    return get(artifact, Path(target), source, force=force, progress=progress)
