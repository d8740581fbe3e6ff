"""Exports what an auditor verifies offline."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from kernel.errors import invalid_field
from kernel.rpc import Context
from modelog.archive.v1 import archive_service_pb2 as rpc
from services.archive import bundle
from services.archive.checkpoints import Signed
from services.archive.keys import published
from services.archive.merkle import aligned, inclusion_spans, perfect, spans_of
from services.archive.servicer.evidence import not_signed
from services.archive.servicer.room import Room

_CHUNK_BYTES = 256 * 1024
_SIGNED_SECONDS = 30.0  # A stream has no deadline of its own.
_READ = 500  # Facts read from the copy at once.
_MOST_EARLIER = 500  # Earlier checkpoints put into a bundle; a longer list is thinned out evenly.


class Bundles(Room):
    async def ExportBundle(
        self, request: rpc.ExportBundleRequest, context: Context
    ) -> AsyncIterator[rpc.ExportBundleResponse]:
        await self._wait(request.read)
        signed = await self._signed(request)
        first, last = request.from_revision or 1, request.to_revision or signed.head.size
        if not first <= last <= signed.head.size:
            raise invalid_field("to_revision", f"{first} to {last} is no range of a log of {signed.head.size}", "RANGE")
        proofs = sorted(set(request.proof_revisions))
        if proofs and not first <= proofs[0] <= proofs[-1] <= last:
            raise invalid_field("proof_revisions", f"they have to lie between {first} and {last}", "RANGE")
        async for content in self._content(signed, first, last, proofs):
            for chunk in _chunks(content):
                yield rpc.ExportBundleResponse(chunk=chunk)

    async def _signed(self, request: rpc.ExportBundleRequest) -> Signed:
        """The newest checkpoint; at_least and to_revision have to be covered by it."""
        wanted = max(request.read.at_least, request.to_revision, 1)
        if request.read.at_least:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SIGNED_SECONDS):
                    await self._checkpoints.wait_covering(wanted)
        newest = self._checkpoints.newest()
        if newest is None or newest.head.size < wanted:
            raise not_signed(wanted)
        await self._resources.wait(newest.head.size)
        return newest

    async def _content(self, signed: Signed, first: int, last: int, proofs: list[int]) -> AsyncIterator[bytes]:
        """The files of the tar, one after the other."""
        size, tar = signed.head.size, bundle.Tar()
        left = await self._copy.hashes(spans_of(perfect((0, first - 1))))
        right = await self._copy.hashes(spans_of(aligned(last, size)))
        vouched, witness = self._statements.of_size(size), self._statements.public().get("vkey", "")
        yield tar.file("checkpoint", (signed.note + (vouched.line if vouched else "")).encode())
        keys = published(self._checkpoints.folder)
        yield tar.file("policy.json", bundle.policy_json(signed.head.origin, keys, witness))
        yield tar.file("log/edges.json", bundle.edges_json(left, right))
        for earlier in self._checkpoints.sample(first, last + 1, _MOST_EARLIER):
            if earlier.head.size != size:
                yield tar.file(bundle.checkpoint_name(earlier.head.size), earlier.note.encode())
        files = bundle.LogFiles(tar, first)
        for start in range(first, last + 1, _READ):
            for content in files.add(
                [one.payload for one in await self._copy.range(start, min(start + _READ - 1, last))]
            ):
                yield content
        yield files.flush()
        for revision in proofs:
            hashes = await self._copy.hashes(inclusion_spans(revision - 1, size))
            text = bundle.proof_text(revision - 1, hashes, signed.note)
            yield tar.file(bundle.proof_name(revision), text.encode())
        yield tar.file("manifest.json", bundle.manifest_json(signed.head.origin, size, first, last, tar.files))
        yield tar.end()


def _chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]
