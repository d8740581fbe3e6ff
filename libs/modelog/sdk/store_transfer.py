"""Artifacts into a store and out of it: files, and folders as the list of their files."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelog.artifacts.folders import File, digest_of, files_of, inside, read, text_of
from modelog.sdk.store import Progress, Store, WrongDigest, checked, file_chunks
from modelog.sdk.store_folder import sync

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import Artifact

FOLDER = "folder"
_MOST_LIST_BYTES = 1 << 20


class _Counter:
    """Adds up bytes for somebody who wants to see how far it is."""

    def __init__(self, total_bytes: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total_bytes, progress

    def __call__(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def described(path: Path, *, artifact_format: str = "", progress: Progress | None = None) -> "Artifact":
    """What there is to say about a file or folder before it is anywhere: digest, length, format, what its pickles name.

    artifact_format: in place of what content and name tell; ValueError when it hides that the content is a pickle.
    """
    from modelog.artifacts.formats import detect, holds_pickles
    from modelog.artifacts.scan import scan
    from modelog.registry.v1.types_pb2 import Artifact

    if path.is_dir():
        passed = _Counter(sum(one.stat().st_size for one in inside(path)), progress)
        files = files_of(path, passed=passed)
        artifact = Artifact(sha256=digest_of(files), size_bytes=sum(one.size_bytes for one in files))
        for one in files:
            artifact.files.add(**one._asdict())
        found = FOLDER
    else:
        digest, passed = hashlib.sha256(), _Counter(path.stat().st_size, progress)
        artifact, found = Artifact(), detect(path)
        with path.open("rb") as file:
            for chunk in file_chunks(file):
                digest.update(chunk)
                passed(len(chunk))
                artifact.size_bytes += len(chunk)
        artifact.sha256 = digest.hexdigest()
    if artifact_format and holds_pickles(found) and not holds_pickles(artifact_format):
        raise ValueError(f"{path} is {found} by its content, and not {artifact_format}")
    artifact.format = artifact_format or found
    listed, formats = scan(path, sha256=artifact.sha256)
    if listed is not None:
        artifact.scan.CopyFrom(listed)
    artifact.contained_formats.extend(formats)
    return artifact


def put(path: Path, artifact: Any, store: Store, *, progress: Progress | None = None) -> None:
    """Puts what `described` has described into a store, and says in `artifact` where. What is there is left alone."""
    passed = _Counter(artifact.size_bytes, progress)
    if artifact.files:
        for one in artifact.files:
            _put(store, path / one.path, one.sha256, one.size_bytes, passed)
        store.put(text_of(artifact.files), artifact.sha256, lambda _: None)
    else:
        _put(store, path, artifact.sha256, artifact.size_bytes, passed)
    artifact.uri = store.uri(artifact.sha256)


def _put(store: Store, path: Path, sha256: str, size_bytes: int, passed: Callable[[int], None]) -> None:
    if store.has(sha256):
        passed(size_bytes)
    else:
        store.put(path, sha256, passed)


def get(artifact: Any, target: Path, store: Store, *, force: bool = False, progress: Progress | None = None) -> Path:
    """Writes an artifact to `target`, which appears only once every digest is right.

    WrongDigest, FileNotFoundError when the store does not have it, FileExistsError unless `force`.
    """
    if not force and target.exists():
        raise FileExistsError(f"{target} exists already; name another place, or say that it may be replaced")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".{target.name[:200]}.{secrets.token_hex(6)}.part"
    passed = _Counter(artifact.size_bytes, progress)
    try:
        if artifact.files:
            for one in _listed(artifact, store):
                _write(store, one.sha256, one.size_bytes, part / one.path, passed)
        else:
            _write(store, artifact.sha256, artifact.size_bytes, part, passed)
        _appear(part, target, force=force)
    finally:
        _remove(part)
    return target


def _listed(artifact: Any, store: Store) -> Iterable[File]:
    """The list of a folder as the store has it, if its digest is right: then it is the list of the registry as well."""
    text = b""
    for chunk in store.chunks(artifact.sha256):
        text += chunk
        if len(text) > _MOST_LIST_BYTES:
            raise WrongDigest(f"the list of files in the store is longer than {_MOST_LIST_BYTES} bytes")
    if hashlib.sha256(text).hexdigest() != artifact.sha256:
        raise WrongDigest(f"the list of files in the store has not the digest {artifact.sha256}")
    return [File(path, sha256, size_bytes) for path, sha256, size_bytes in read(text)]


def _write(store: Store, sha256: str, size_bytes: int, part: Path, passed: Callable[[int], None]) -> None:
    """The bytes, as far as they are no more than they should be, on the disk when this returns."""
    part.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with part.open("xb") as writing:
        for chunk in checked(store.chunks(sha256), sha256, passed):
            written += len(chunk)
            if written > size_bytes:
                raise WrongDigest(
                    f"what the store has under {sha256} is longer than the {size_bytes} bytes it should be"
                )
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())


def _appear(part: Path, target: Path, *, force: bool) -> None:
    """The final name, of which there was none before unless `force`."""
    if force and target.is_dir():
        shutil.rmtree(target)
    if part.is_dir() or force:
        part.rename(target)  # A folder that has come there meanwhile is not replaced unless it is empty.
    else:
        _link(part, target)
    sync(target.parent)


def _link(part: Path, target: Path) -> None:
    """The name, if it is free. Some file systems know no links; there somebody could take it in between."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError(f"{target} has come to be meanwhile; name another place") from None
        part.rename(target)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink(missing_ok=True)
