"""A store in a bucket, by `obstore`. Region, endpoint and credentials come from the environment (AWS_... and so on)."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelog.sdk.store import CHUNK_BYTES, checked, read_chunks

# Up to here one request puts it there and only if it is absent; above, parts are put together at the end.
_ONE_REQUEST_BYTES = 64 << 20


class BucketStore:
    """Objects `<prefix>/sha256/<hex>`."""

    def __init__(self, address: str) -> None:
        try:
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise ValueError(f"{address} needs the extra `store`: pip install 'modelog[store]'") from error
        self._obstore: Any = obstore
        self._failed: Any = BaseError
        self._address = address.rstrip("/")
        self._store: Any = from_url(self._address)

    def uri(self, sha256: str) -> str:
        return f"{self._address}/{_key(sha256)}"

    def has(self, sha256: str) -> bool:
        with self._told():
            try:
                self._obstore.head(self._store, _key(sha256))
            except FileNotFoundError:
                return False
        return True

    def put(self, source: "Path | bytes", sha256: str, passed: Callable[[int], None]) -> None:
        """What is large may be put twice by two at once, which leaves the same bytes: those of the digest."""
        size_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
        parts = checked(read_chunks(source), sha256, passed)
        from obstore.exceptions import AlreadyExistsError

        with self._told(), contextlib.suppress(AlreadyExistsError):
            if size_bytes <= _ONE_REQUEST_BYTES:
                self._obstore.put(self._store, _key(sha256), b"".join(parts), mode="create")
            else:
                self._obstore.put(self._store, _key(sha256), parts)

    def chunks(self, sha256: str) -> Iterator[bytes]:
        with self._told():
            for chunk in self._obstore.get(self._store, _key(sha256)).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever the store answers becomes one sentence."""
        from obstore.exceptions import AlreadyExistsError

        try:
            yield
        except AlreadyExistsError:
            raise
        except self._failed as error:
            first = str(error).splitlines()[0]
            raise OSError(f"{self._address}: {first[:400]}") from error


def _key(sha256: str) -> str:
    return f"sha256/{sha256}"
