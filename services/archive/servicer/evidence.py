"""Signed roots of the log and proofs that lead to them."""

from datetime import datetime

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import evidence_pb2 as evidence
from modelog.archive.v1 import types_pb2 as types
from services.archive import notary
from services.archive.checkpoints import Signed, place_of
from services.archive.keys import published
from services.archive.merkle import consistency_spans, inclusion_spans, leaf_hash
from services.archive.servicer.comparing import Comparing

_PAGE_SIZE = 50
_STATES = {
    notary.SIGNING: types.NOTARY_STATE_SIGNING,
    notary.CATCHING_UP: types.NOTARY_STATE_CATCHING_UP,
    notary.ALARM: types.NOTARY_STATE_ALARM,
}


class Evidence(Comparing):
    async def GetCheckpoint(self, request: rpc.GetCheckpointRequest, context: Context) -> types.Checkpoint:
        revision = request.size or request.covering_revision or 1
        if request.wait:
            await self._checkpoints.wait_covering(revision)
        match request.WhichOneof("which"):
            case "size":
                signed = self._checkpoints.of_size(request.size)
            case "covering_revision":
                signed = self._checkpoints.covering(request.covering_revision)
            case _:
                signed = self._checkpoints.newest()
        if signed is None:
            raise NotFound(
                "CHECKPOINT_NOT_FOUND", "no such checkpoint was signed; ListCheckpoints names those that were"
            )
        return self._checkpoint(signed)

    async def ListCheckpoints(
        self, request: rpc.ListCheckpointsRequest, context: Context
    ) -> rpc.ListCheckpointsResponse:
        page = self._checkpoints.page(place_of(request.page_token), request.page_size or _PAGE_SIZE)
        token = str(page[-1][0]) if page and page[-1][0] > 1 else ""
        return rpc.ListCheckpointsResponse(
            checkpoints=[self._checkpoint(one) for _, one in page], next_page_token=token
        )

    async def GetNotary(self, request: rpc.GetNotaryRequest, context: Context) -> types.Notary:
        state = self._checkpoints.state()
        newest = self._checkpoints.newest()
        return types.Notary(
            origin=self._checkpoints.origin,
            keys=[types.LogKey(**one) for one in published(self._checkpoints.folder)],
            state=_STATES.get(state.get("state", ""), types.NOTARY_STATE_UNSPECIFIED),
            alarm_reason=state.get("reason", ""),
            alarm_message=state.get("message", ""),
            signed_size=newest.head.size if newest else 0,
            copied_size=self._rooms.position.revision,
            witness=self._witness(),
            copy=self._kept_copy(),
            scrub=self.scrub_summary(),
        )

    def _witness(self) -> evidence.Witness:
        state, newest = self._statements.state(), self._statements.newest()
        return evidence.Witness(
            vkey=self._statements.public().get("vkey", ""),
            state=state.get("state", ""),
            alarm_reason=state.get("reason", ""),
            alarm_message=state.get("message", ""),
            witnessed_size=newest.head.size if newest else 0,
        )

    def _kept_copy(self) -> evidence.KeptCopy:
        state = self._parts.vault.state()
        return evidence.KeptCopy(
            state=state.get("state", ""),
            alarm_reason=state.get("reason", ""),
            alarm_message=state.get("message", ""),
            size=self._parts.vault.end(),
        )

    def _checkpoint(self, signed: Signed) -> types.Checkpoint:
        checkpoint = checkpoint_of(signed)
        if vouched := self._statements.of_size(signed.head.size):
            checkpoint.witnessed_note = signed.note + vouched.line
            checkpoint.witness_time.FromSeconds(vouched.seconds)
        return checkpoint

    async def GetInclusionProof(self, request: rpc.GetInclusionProofRequest, context: Context) -> types.InclusionProof:
        await self._wait(request.read)
        revision, size = request.revision, request.size
        if size and size < revision:
            raise invalid_field("size", f"a tree of {size} does not reach revision {revision}", "SIZE_TOO_SMALL")
        await self._check_copied(max(revision, size))
        signed = self._checkpoints.of_size(size) if size else self._checkpoints.newest()
        if not size:
            if signed is None or signed.head.size < revision:
                raise not_signed(revision)
            size = signed.head.size
        *hashes, root = await self._copy.hashes([*inclusion_spans(revision - 1, size), (0, size)])
        (stored,) = await self._copy.at([revision])
        return types.InclusionProof(
            revision=revision,
            leaf_hash=leaf_hash(stored.payload),
            head=types.TreeHead(size=size, root_hash=root),
            hashes=hashes,
            checkpoint=self._checkpoint(signed) if signed else None,
            payload=stored.payload,
        )

    async def GetConsistencyProof(
        self, request: rpc.GetConsistencyProofRequest, context: Context
    ) -> types.ConsistencyProof:
        await self._wait(request.read)
        old, new = request.from_size, request.to_size
        if not new:
            newest = self._checkpoints.newest()
            if newest is None:
                raise not_signed(old)
            new = newest.head.size
        if new < old:
            raise invalid_field("to_size", f"a log of {new} did not grow from one of {old}", "SIZE_TOO_SMALL")
        await self._check_copied(new)
        *hashes, old_root, new_root = await self._copy.hashes([*consistency_spans(old, new), (0, old), (0, new)])
        return types.ConsistencyProof(
            **{"from": types.TreeHead(size=old, root_hash=old_root)},
            to=types.TreeHead(size=new, root_hash=new_root),
            hashes=hashes,
        )

    async def _check_copied(self, revision: int) -> None:
        if revision > self._rooms.position.revision:
            raise NotFound("REVISION_NOT_FOUND", f"the log, as far as it is copied, ends before {revision}")


def not_signed(revision: int) -> NotAllowedNow:
    return NotAllowedNow(
        "NOT_SIGNED_YET",
        f"no checkpoint covers revision {revision} yet; GetCheckpoint with wait waits for it, GetNotary tells why not",
    )


def checkpoint_of(signed: Signed) -> types.Checkpoint:
    checkpoint = types.Checkpoint(
        name=f"checkpoints/{signed.head.size}",
        origin=signed.head.origin,
        head=types.TreeHead(size=signed.head.size, root_hash=signed.head.root),
        note=signed.note,
    )
    checkpoint.sign_time.FromDatetime(datetime.fromisoformat(signed.time))
    return checkpoint
