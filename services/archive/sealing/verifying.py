"""Reads a sealed record again, every byte of it, and checks every proof inside."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.archive.checkpoint import BadNote, Verifier
from services.archive.merkle import leaf_hash, root_of_inclusion
from services.archive.sealing.content import MANIFEST, fact_name, proof_name
from services.archive.sealing.contents import Contents, Wrong, digest, read


class Verified(NamedTuple):
    """file_count: read again, without the manifest. erased: paths that are rightly not there."""

    file_count: int
    proof_count: int
    wrong: list[Wrong]
    erased: Sequence[str] = ()


class Erased(NamedTuple):
    """What a record that expired need not hold any more, or, once it is `done`, must not."""

    paths: frozenset[str] = frozenset()
    done: bool = False


NOTHING = Erased()


def verify_record(
    contents: Contents, manifest_sha256: str, verifiers: Sequence[Verifier], erased: Erased = NOTHING
) -> Verified:
    """Blocking. `manifest_sha256` and `erased` come from the log, which is what the record is measured by."""
    wrong: list[Wrong] = []
    manifest_bytes = _read(contents, MANIFEST, wrong)
    if manifest_bytes is None:
        return Verified(0, 0, wrong)
    if hashlib.sha256(manifest_bytes).hexdigest() != manifest_sha256:
        wrong.append(Wrong("MANIFEST_CHANGED", MANIFEST, "the manifest is not the one whose digest is in the log"))
        return Verified(0, 0, wrong)
    manifest = json.loads(manifest_bytes)
    present = contents.names()
    gone = sorted((erased.paths & manifest["files"].keys()) - present)
    for name, entry in manifest["files"].items():
        if name not in gone:
            _compare(contents, name, entry, wrong)
    left = sorted(erased.paths - set(gone)) if erased.done else []
    wrong += [Wrong("FILE_NOT_ERASED", name, "the log says that it was erased, and it is here") for name in left]
    for name in sorted(present - {*manifest["files"], MANIFEST}):
        wrong.append(Wrong("FILE_UNEXPECTED", name, "the manifest does not know this file"))
    wrong += contents.wrong()
    proofs = _verify_proofs(contents, manifest, verifiers, wrong)
    return Verified(len(manifest["files"]) - len(gone), proofs, wrong, gone)


def _compare(contents: Contents, name: str, entry: Mapping[str, Any], wrong: list[Wrong]) -> None:
    try:
        found = digest(contents, name)
    except OSError as error:
        wrong.append(Wrong("FILE_MISSING", name, str(error)))
        return
    if found != entry["sha256"]:
        wrong.append(Wrong("FILE_CHANGED", name, f"its digest is {found}, the manifest says {entry['sha256']}"))


def _verify_proofs(
    contents: Contents, manifest: Mapping[str, Any], verifiers: Sequence[Verifier], wrong: list[Wrong]
) -> int:
    note = _read(contents, "checkpoint", wrong)
    head = _signed_root(note.decode(errors="replace"), verifiers) if note is not None else None
    if head is None:
        wrong.append(Wrong("CHECKPOINT_WRONG", "checkpoint", "no key of this log signed it"))
        return 0
    size, root = head
    proofs = 0
    for revision in manifest["fact_revisions"]:
        payload = _read(contents, fact_name(revision), wrong)
        proof = _read(contents, proof_name(revision), wrong)
        if payload is None or proof is None:
            continue
        path = _path_in(proof.decode(errors="replace"))
        proofs += 1
        if path is None or root_of_inclusion(revision - 1, size, leaf_hash(payload), path) != root:
            text = f"the fact of revision {revision} is not proven by it"
            wrong.append(Wrong("PROOF_WRONG", proof_name(revision), text))
    return proofs


def _signed_root(note: str, verifiers: Sequence[Verifier]) -> tuple[int, bytes] | None:
    for verifier in verifiers:
        try:
            head = verifier.open(note)
        except BadNote:
            continue
        return head.size, head.root
    return None


def _path_in(proof: str) -> list[bytes] | None:
    lines = proof.partition("\n\n")[0].split("\n")[2:]
    try:
        return [base64.b64decode(line, validate=True) for line in lines]
    except (binascii.Error, ValueError):
        return None


def _read(contents: Contents, name: str, wrong: list[Wrong]) -> bytes | None:
    try:
        return read(contents, name)
    except OSError as error:
        wrong.append(Wrong("FILE_MISSING", name, str(error)))
        return None
