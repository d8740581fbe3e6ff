"""A store in a local folder: the one that the services read, or any other."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from modelog.sdk.store import checked, read_chunks


class FolderStore:
    """Files `sha256/<hex>`, which nobody may write to any more."""

    def __init__(self, folder: Path, *, services: bool) -> None:
        self._folder = folder / "sha256"
        self._services = services

    def uri(self, sha256: str) -> str:
        """The services know their own folder by `cas:`, wherever it is on each machine."""
        return f"cas:sha256/{sha256}" if self._services else f"{self._folder.resolve().as_uri()}/{sha256}"

    def has(self, sha256: str) -> bool:
        return (self._folder / sha256).is_file()

    def put(self, source: "Path | bytes", sha256: str, passed: Callable[[int], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # A name of its own, so that two who store the same bytes at once do not write into each other's copy.
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with part.open("xb") as writing:
                for chunk in checked(read_chunks(source), sha256, passed):
                    writing.write(chunk)
                writing.flush()
                os.fsync(writing.fileno())
            if not self.has(sha256):
                part.chmod(0o444)
                part.replace(self._folder / sha256)
                sync(self._folder)
        finally:
            part.unlink(missing_ok=True)

    def chunks(self, sha256: str) -> Iterator[bytes]:
        return read_chunks(self._folder / sha256)


def sync(folder: Path) -> None:
    """Makes a new name in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
