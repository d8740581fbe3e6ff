"""Where records lie: a local folder, or a bucket, by one API (`obstore`). Blocking.

What is put in a folder is on the disk when `settled` returns. A bucket keeps what it has acknowledged by itself; its
region, endpoint and credentials come from the environment, as its tools read them (AWS_... and so on).
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import LocalStore, from_url

from modelog.sdk.store import CHUNK_BYTES, file_chunks
from services.archive.files import sync_folder

_STAGED = re.compile(r".*#\d+")  # What the library writes beside a file before it renames it.
_RUBBISH_SECONDS = 3600.0


class Objects:
    """Bytes under keys. OSError with one sentence for what the store answers; FileNotFoundError for what is missing."""

    def __init__(self, address: str | Path) -> None:
        """address: a folder, or one like `s3://bucket/prefix`."""
        self.folder = None if "://" in str(address) else Path(address)
        self._address = str(address).rstrip("/")
        if self.folder is None:
            self._store = from_url(self._address)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(self.folder)

    def put(self, key: str, content: bytes | Iterator[bytes]) -> None:
        """Replaces what is there; nobody ever sees a part of it."""
        with self._told():
            obstore.put(self._store, key, content)

    def create(self, key: str, content: bytes) -> bool:
        """False when there was something already, which stays."""
        with self._told():
            try:
                obstore.put(self._store, key, content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def settled(self, keys: Iterator[str] | list[str]) -> None:
        """After this what lies under the keys survives a power loss."""
        if self.folder is None:
            return
        folders: set[Path] = set()
        for key in keys:
            path = self.folder / key
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            folders.update(one for one in path.parents if one.is_relative_to(self.folder))
        for one in sorted(folders, key=lambda path: -len(path.parts)):
            sync_folder(one)

    def has(self, key: str) -> bool:
        with self._told():
            try:
                obstore.head(self._store, key)
            except FileNotFoundError:
                return False
        return True

    def size_bytes(self, key: str) -> int:
        with self._told():
            return int(obstore.head(self._store, key)["size"])

    def get(self, key: str) -> bytes:
        with self._told():
            return bytes(obstore.get(self._store, key).bytes())

    def chunks(self, key: str) -> Iterator[bytes]:
        """Part by part. A file is read without the library, which can put while it is read from, but not get."""
        if self.folder is not None:
            with (self.folder / key).open("rb") as file:
                yield from file_chunks(file)
            return
        with self._told():
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def keys(self, below: str) -> list[str]:
        with self._told():
            found = [one["path"] for batch in obstore.list(self._store, prefix=below) for one in batch]
        return sorted(one for one in found if not _STAGED.fullmatch(one))

    def remove(self, key: str) -> None:
        """Gone for good when this returns, also if the power fails; nothing where it was gone already."""
        if self.folder is None:
            with self._told(), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, key)
            return
        path = self.folder / key
        path.unlink(missing_ok=True)
        if path.parent.is_dir():  # Also where it was gone already: a crash may have come before this.
            sync_folder(path.parent)

    def sweep(self) -> None:
        """Removes what crashes left half written, unless it is so young that somebody may be at work on it."""
        for path in self.folder.rglob("*#*") if self.folder is not None else ():
            if _STAGED.fullmatch(path.name) and time.time() - path.stat().st_mtime > _RUBBISH_SECONDS:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, OSError):
            raise
        except PermissionDeniedError as error:
            raise PermissionError(errno.EACCES, f"{self._address}: {str(error).splitlines()[0][:400]}") from error
        except BaseError as error:
            raise OSError(f"{self._address}: {str(error).splitlines()[0][:400]}") from error
