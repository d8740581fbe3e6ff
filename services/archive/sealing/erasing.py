"""What is erased of an expired record, and erasing it. Blocking; doing it again ends where doing it once does."""

import errno
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from modelog.archive.v1 import record_erasures_pb2 as types
from services.archive.sealing.content import MANIFEST
from services.archive.sealing.contents import Contents, read
from services.archive.sealing.objects import Objects

# The skeleton: facts as they stand in the log, their proofs, and what holds no text of people's. Whatever else a record
# comes to hold goes with the artifact.
_KEPT = re.compile(r"facts/\d+\.bin|proofs/\d+\.tlog-proof|checkpoint|policy\.json|serving\.json")
_MAY_NOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Unreadable(Exception):
    """The record cannot be read, so nobody can say what is to be erased of it."""


def erasable(contents: Contents, manifest_sha256: str) -> dict[str, int]:
    """Paths inside a record that go when it expires, with their lengths: the artifact, and every text for people.

    A file with the same bytes as one that stays says no more than that one, and may lie in the same place.
    """
    try:
        manifest = read(contents, MANIFEST)
    except OSError as error:
        raise Unreadable(f"its manifest cannot be read: {error}") from error
    if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
        raise Unreadable("its manifest is not the one whose digest is in the log")
    files = json.loads(manifest)["files"]
    kept = {one["sha256"] for name, one in files.items() if _KEPT.fullmatch(name)}
    return {name: int(one["bytes"]) for name, one in files.items() if one["sha256"] not in kept}


def erase(contents: Contents, paths: Iterable[str]) -> None:
    """After this they are gone even if the power fails. OSError when the store fails."""
    for name in sorted(paths):
        if _is_inside(name):
            contents.remove(name)


def erase_artifact(artifacts: Objects, gone: Iterable[str], shared: Iterable[str]) -> types.ArtifactOutcome:
    """Erases files of an artifact in the store that the registry names, by their digests, and says what came of it.

    shared: digests of it that stay, because others have them.
    """
    try:
        for digest in sorted(gone):
            artifacts.remove(f"sha256/{digest}")
    except OSError as error:
        if error.errno in _MAY_NOT_WRITE:
            return types.ARTIFACT_OUTCOME_READ_ONLY
        raise
    return types.ARTIFACT_OUTCOME_SHARED if list(shared) else types.ARTIFACT_OUTCOME_GONE


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
