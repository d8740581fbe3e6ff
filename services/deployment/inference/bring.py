"""Brings an artifact to where a replica opens it: `python -m services.deployment.inference.bring FROM SHA256 TO`.

FROM is a path or an http(s) URL. What does not have the digest never stands at TO. Exit status 3: it is not there, or
is not the approved one; 1: it could not be asked for, which may be better the next time.
"""

import hashlib
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from services.deployment.inference.order import ARTIFACT_REFUSED, ArtifactRefused

_CHUNK_BYTES = 1 << 20
_SECONDS = 60.0
_GONE = (404, 410)


def bring(source: str, sha256: str, target: Path) -> int:
    """Bytes written. ArtifactRefused when they are not the approved ones; OSError when they could not be read."""
    beside = target.with_name(target.name + ".new")
    try:
        with _opened(source) as stream, beside.open("wb") as file:
            digest, size = hashlib.sha256(), 0
            while part := stream.read(_CHUNK_BYTES):
                digest.update(part)
                size += file.write(part)
        if digest.hexdigest() != sha256:
            raise ArtifactRefused(f"{source} has digest {digest.hexdigest()}, but {sha256} was approved")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return size


def _opened(source: str) -> BinaryIO:
    if not source.startswith(("http://", "https://")):
        try:
            return Path(source).open("rb")
        except FileNotFoundError as error:
            raise ArtifactRefused(f"{source} does not exist: put the artifact into the store") from error
    try:
        stream: BinaryIO = urllib.request.urlopen(source, timeout=_SECONDS)  # noqa: S310 - One of two schemes.
    except urllib.error.HTTPError as error:
        if error.code in _GONE:
            raise ArtifactRefused(f"{source} does not exist: put the artifact into the store") from error
        raise
    return stream


def main() -> int:
    source, sha256, target = sys.argv[1:]
    free = shutil.disk_usage(Path(target).parent).free
    try:
        bring(source, sha256, Path(target))
    except ArtifactRefused as refused:
        print(refused, file=sys.stderr)  # noqa: T201 - The container's last words become its status.
        return ARTIFACT_REFUSED
    except OSError as error:
        print(f"{source} could not be brought ({free} bytes were free): {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
