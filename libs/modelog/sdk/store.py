"""Content-addressed stores of artifacts: what lies in one is found by its SHA-256, under `sha256/<hex>`.

A store is a local folder, the one that the services read (`cas:`) or any other (`file:`), or a bucket (`s3:`, `gs:`,
`az:`, with the extra `store`). What is put there is never replaced, and never seen before it is whole.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from modelog.sdk import settings

CHUNK_BYTES = 1 << 20
BUCKETS = ("s3", "gs", "az")
# Told how many bytes are done, and of how many; the last call has both the same.
Progress = Callable[[int, int], None]
_KEY = re.compile(r"(?P<root>.*/)?sha256/(?P<sha256>[0-9a-f]{64})")


class WrongDigest(ValueError):
    """Bytes that are not what their digest says; nothing of them is kept."""


class Store(Protocol):
    """Keeps bytes under their digest."""

    def uri(self, sha256: str) -> str:
        """Where something with this digest is, for the Artifact."""
        ...

    def has(self, sha256: str) -> bool: ...

    def put(self, source: "Path | bytes", sha256: str, passed: Callable[[int], None]) -> None:
        """Puts a file's bytes there unless they are there; WrongDigest when they changed since their digest was taken.

        passed: told of every part how many bytes it has.
        """
        ...

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The bytes, in parts; FileNotFoundError. Whoever takes them checks the digest."""
        ...


def open_store(address: "str | Path | None" = None) -> Store:
    """The store at a path or an address like `s3://bucket/prefix`.

    None: what MODELOG_STORE says, else the folder that the services read.
    """
    named = str(address or settings.store())
    if not named:
        from modelog.sdk.store_folder import FolderStore

        return FolderStore(settings.artifacts_dir(), services=True)
    scheme = urlsplit(named).scheme
    if scheme in BUCKETS:
        from modelog.sdk.store_bucket import BucketStore

        return BucketStore(named)
    if scheme not in ("", "file") or (scheme == "file" and urlsplit(named).netloc not in ("", "localhost")):
        raise ValueError(f"{named} is no store: give a folder, or {', '.join(f'{one}://...' for one in BUCKETS)}")
    from modelog.sdk.store_folder import FolderStore

    return FolderStore(Path(unquote(urlsplit(named).path) if scheme else named), services=False)


def store_of(uri: str, sha256: str) -> Store:
    """The store that an artifact's address leads into; ValueError when it leads into none."""
    parts = urlsplit(uri)
    key = _KEY.fullmatch(parts.path)
    if key is None or key["sha256"] != sha256:
        raise ValueError(
            f"{uri} is not in a content-addressed store; fetch it yourself and compare its digest {sha256}"
        )
    if parts.scheme == "cas":
        from modelog.sdk.store_folder import FolderStore

        return FolderStore(settings.artifacts_dir(), services=True)
    if parts.scheme not in ("file", *BUCKETS):
        raise ValueError(f"{uri} is fetched by no store; fetch it yourself and compare its digest {sha256}")
    return open_store(f"{parts.scheme}://{parts.netloc}{key['root'] or '/'}")


def read_chunks(source: "Path | bytes") -> Iterator[bytes]:
    """The bytes of a file, or bytes themselves, in parts."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        yield from file_chunks(file)


def file_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def checked(chunks: Iterator[bytes], sha256: str, passed: Callable[[int], None]) -> Iterator[bytes]:
    """The same parts; WrongDigest in place of the end when they have another digest."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        passed(len(chunk))
        yield chunk
    if digest.hexdigest() != sha256:
        raise WrongDigest(f"its digest is {digest.hexdigest()} and not {sha256}: it was changed")
