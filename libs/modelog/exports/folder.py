"""The folder of an export: what its manifest names is there, whenever whoever writes it is killed."""

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelog.exports import manifest as manifests
from modelog.exports.manifest import File, Manifest

if sys.platform != "win32":
    import fcntl

_LOCK = ".lock"
_PART = ".part"
_OURS = re.compile(r"\.?(\d{12}-\d{12}|[a-z_]+)\.(parquet|jsonl|jsonl\.zst)(\.part)?")


class BadExport(ValueError):
    """A folder that cannot be exported to as was asked."""


class WrongLog(BadExport):
    """Facts that are not those of the signed log, or not of the one that was exported before."""


class Folder:
    """Files are written beside and renamed, the manifest last; what no manifest names was left by a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def alone(self) -> Iterator["Folder"]:
        """One process at a time; BadExport for a second, and for a folder that holds something else."""
        found = sorted(one.name for one in self.path.iterdir()) if self.path.is_dir() else []
        if found and manifests.NAME not in found and _LOCK not in found:
            raise BadExport(f"{self.path} is neither empty nor an export: choose another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if sys.platform != "win32":  # Which has no such locks: there, nobody else may export to it meanwhile.
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BadExport(f"somebody else is exporting to {self.path}: wait for it") from None
            yield self
        finally:
            os.close(lock)

    def manifest(self) -> Manifest | None:
        """None where nothing was exported yet. ValueError for one that cannot be read."""
        try:
            return manifests.decoded((self.path / manifests.NAME).read_bytes())
        except FileNotFoundError:
            return None

    @property
    def is_signed(self) -> bool:
        return (self.path / manifests.signature_name((self.path / manifests.NAME).read_bytes())).is_file()

    def add(self, name: str, write: Callable[[Path], None], rows: int, revisions: tuple[int, int] = (0, 0)) -> File:
        """A new file; `write` makes it at the path that it is given."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}{_PART}")
        write(part)
        with part.open("rb") as reading:
            digest = hashlib.file_digest(reading, "sha256").hexdigest()
            os.fsync(reading.fileno())
        size_bytes = part.stat().st_size
        part.replace(path)
        return File(name, digest, size_bytes, rows, *revisions)

    def commit(self, manifest: Manifest, key: Any = None) -> None:
        """Makes it what the folder holds, signed by a private key when there is one."""
        content = manifest.encoded()
        _sync_all(self.path, {str(Path(one.path).parent) for one in manifest.files})
        if key is not None:
            self._put(manifests.signature_name(content), manifests.sign_manifest(content, key))
        self._put(manifests.NAME, content)
        self.clear(manifest)

    def clear(self, manifest: Manifest | None) -> None:
        """Removes what the manifest does not name, of what exports write."""
        named = {one.path for one in manifest.files} if manifest else set()
        if manifest:
            named.add(manifests.signature_name((self.path / manifests.NAME).read_bytes()))
        for path in [*self.path.glob("manifest-*.dsse.json"), *self.path.glob(".*.part"), *self._data()]:
            if path.relative_to(self.path).as_posix() not in named:
                path.unlink()
        for below in sorted((one for one in self.path.glob("*/**/") if one != self.path), reverse=True):
            if not any(below.iterdir()):
                below.rmdir()

    def _data(self) -> Iterator[Path]:
        """What exports have written below, finished or not; nothing else is ever removed."""
        for top in ("facts", "views"):
            yield from (one for one in (self.path / top).rglob("*") if one.is_file() and _OURS.fullmatch(one.name))

    def _put(self, name: str, content: bytes) -> None:
        part = self.path / f".{name}{_PART}"
        with part.open("wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        part.replace(self.path / name)
        _sync(self.path)


def _sync_all(top: Path, below: set[str]) -> None:
    """Makes new names survive a power loss, also those of new folders."""
    for folder in sorted({parent for one in below for parent in (top / one, *(top / one).parents)}, reverse=True):
        if folder == top or top in folder.parents:
            _sync(folder)


def _sync(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
