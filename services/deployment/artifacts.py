"""Where an artifact lies on this machine. Nothing is ever fetched, and nothing outside the store is ever opened."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotInStore(Exception):
    """The uri does not lead to a file of the store; the text says what to do."""


def locate(uri: str, sha256: str, store: Path) -> Path:
    """The file of an artifact: `cas:sha256/<hex>` in the content-addressed store, or a `file:` inside of it.

    Whether its bytes have the digest is for the replica to see, which reads them anyway.
    """
    if not _SHA256.fullmatch(sha256):
        raise NotInStore(f"{sha256!r} is not a SHA-256 digest")
    root = store.resolve()
    parts = urlsplit(uri)
    match parts.scheme:
        case "cas":
            if parts.path != f"sha256/{sha256}":
                raise NotInStore(f"{uri} does not name the approved digest {sha256}")
            path = root / "sha256" / sha256
        case "file":
            path = Path(unquote(parts.path)).resolve()
            if parts.netloc not in ("", "localhost") or not path.is_relative_to(root):
                raise NotInStore(f"{uri} is not inside the artifact store {root}")
        case _:
            raise NotInStore(f"{uri} cannot be read here: put the file into the store and name it cas:sha256/{sha256}")
    if not path.is_file():
        raise NotInStore(f"{path} does not exist: put the artifact into the store")
    return path
