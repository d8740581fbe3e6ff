"""The state of the whole suite at one revision, in files that are the same bytes whenever they are asked for.

manifest.json            the revision, when it was recorded, the checkpoint, and every file with its SHA-256
checkpoint               the first signed root of the log that covers the revision, as a signed note
registry/version.jsonl   one resource a line, by name: name, revision, SHA-256 of its stored bytes, and the resource
...                      one file a kind that has any

Nothing of the run is in it: no time of asking, no address, no name of who asked.
"""

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from modelog.sdk.moments import states, told

FORMAT = "modelog-state/1"
MANIFEST, CHECKPOINT = "manifest.json", "checkpoint"


class StateFile(NamedTuple):
    """One file of a bundle: how many resources it holds, and the SHA-256 of its bytes in hex."""

    path: str
    resources: int
    sha256: str


class StateBundle(NamedTuple):
    """What was written: as of which revision, the size of the checkpoint's tree, and the files."""

    revision: int
    checkpoint_size: int
    files: list[StateFile]


def write_state(client: Any, moment: Any, target: Path, parent: str = "") -> StateBundle:
    """Writes the bundle of a LocateMomentResponse into a folder, or into one file when `target` ends in .tar.

    client: a connected SyncClient; who calls needs state.resources.list on the project, or on everything. The target
    must not exist; what could not be finished leaves nothing behind. Waits until a checkpoint covers the revision.
    """
    if target.exists():
        raise FileExistsError(17, "it exists already; name a new one", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        folder = Path(scratch) / "state"
        folder.mkdir()
        bundle = _write(client, moment, folder, parent)
        made = folder
        if target.suffix == ".tar":
            made = Path(scratch) / "state.tar"
            _pack(folder, made, moment.record_time.seconds)
        made.rename(target)
    return bundle


def _write(client: Any, moment: Any, folder: Path, parent: str) -> StateBundle:
    from modelog.archive.v1.archive_service_pb2 import GetCheckpointRequest

    covering = GetCheckpointRequest(covering_revision=moment.revision, wait=True)
    checkpoint = client.archive.GetCheckpoint(covering)
    (folder / CHECKPOINT).write_text(checkpoint.note, encoding="utf-8")
    files = list(_write_kinds(client, moment.revision, folder, parent))
    manifest = {
        "format": FORMAT,
        "parent": parent,
        "revision": moment.revision,
        "record_time": moment.record_time.ToJsonString(),
        "checkpoint": {
            "path": CHECKPOINT,
            "origin": checkpoint.origin,
            "size": checkpoint.head.size,
            "root_hash": checkpoint.head.root_hash.hex(),
            "sha256": hashlib.sha256((folder / CHECKPOINT).read_bytes()).hexdigest(),
        },
        "files": [one._asdict() for one in files],
    }
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return StateBundle(moment.revision, checkpoint.head.size, files)


def _write_kinds(client: Any, revision: int, folder: Path, parent: str) -> Iterator[StateFile]:
    for (service, kind), found in groupby(states(client, revision, parent), lambda one: (one[0], one[1].kind)):
        path = f"{service}/{kind}.jsonl"
        (folder / service).mkdir(exist_ok=True)
        with (folder / path).open("wb") as file:
            count, digest = _write_lines((state for _, state in found), file)
        yield StateFile(path, count, digest)


def _write_lines(found: Iterator[Any], file: BinaryIO) -> tuple[int, str]:
    digest, count = hashlib.sha256(), 0
    for state in found:
        count += 1
        line = {
            "name": state.name,
            "revision": state.revision,
            "sha256": state.sha256.hex(),
            "resource": told(state),
        }
        data = json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        digest.update(data)
        file.write(data)
    return count, digest.hexdigest()


def _pack(folder: Path, target: Path, seconds: int) -> None:
    """The same files as one: in order, owned by nobody, of the time of the revision."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size, member.mtime, member.mode = path.stat().st_size, max(seconds, 0), 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
