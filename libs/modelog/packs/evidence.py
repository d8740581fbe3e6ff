"""The proofs of a pack: for each fact one that leads to the checkpoint, and that checkpoint with its keys."""

import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1.types_pb2 import Checkpoint, InclusionProof
from modelog.sdk.facts import Entry
from modelog.sdk.sync_client import SyncClient

_AT_ONCE = 8  # Calls; each waits for a record of access that is written before it is answered.
_WAIT_SECONDS = 30.0


class Contradiction(Exception):
    """The archive answers other bytes for a fact than before; `audit scrub` says which store differs."""


@dataclass(frozen=True)
class Evidence:
    """proofs: C2SP tlog-proofs, text, by revision. keys: the log's keys that a checkpoint of this size may carry."""

    checkpoint: Checkpoint
    proofs: Mapping[int, str]
    keys: Sequence[Mapping[str, Any]]


def prove(
    client: SyncClient,
    revision: int,
    entries: Sequence[Entry],
    *,
    size: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Proofs of all entries in the first checkpoint that covers the revision, or in that of `size`.

    One call for each fact. progress: told how many of how many are done. Refused for a size that was not signed.
    """
    asked = (
        rpc.GetCheckpointRequest(size=size) if size else rpc.GetCheckpointRequest(covering_revision=revision, wait=True)
    )
    checkpoint = client.archive.GetCheckpoint(asked, timeout=_WAIT_SECONDS)

    def proof(entry: Entry) -> tuple[int, str]:
        request = rpc.GetInclusionProofRequest(revision=entry.revision, size=checkpoint.head.size)
        found = client.archive.GetInclusionProof(request)
        if found.payload != entry.payload:
            raise Contradiction(f"revision {entry.revision} was answered in two ways; see `modelog audit scrub`")
        return entry.revision, proof_text(found, checkpoint.note)

    proofs: dict[int, str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, (number, text) in enumerate(pool.map(proof, entries), 1):
            proofs[number] = text
            if progress is not None:
                progress(done, len(entries))
    return Evidence(checkpoint, proofs, _keys(client, checkpoint.head.size))


def proof_text(proof: InclusionProof, note: str) -> str:
    """The text form (C2SP tlog-proof): place of the leaf, hashes upwards, the signed root."""
    hashes = [base64.b64encode(one).decode() for one in proof.hashes]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {proof.revision - 1}", *hashes, "", note])


def _keys(client: SyncClient, size: int) -> list[Mapping[str, Any]]:
    """Without what a later rotation changes, so that a pack made again has the same bytes."""
    keys = client.archive.GetNotary(rpc.GetNotaryRequest()).keys
    return [
        {"vkey": one.vkey, "from_size": one.from_size} | ({"rotation": one.rotation} if one.rotation else {})
        for one in keys
        if one.from_size <= size
    ]
