"""Seals: waits for a checkpoint, gathers the facts, writes the record. Doing it twice ends in the same bytes."""

import asyncio

from kernel.errors import Unavailable
from kernel.names import project_of
from modelog.archive.v1 import events_pb2 as facts
from modelog.archive.v1 import types_pb2 as types
from services.archive.checkpoints import Checkpoints
from services.archive.keys import published
from services.archive.merkle import inclusion_spans
from services.archive.queries import Copy
from services.archive.sealing.content import Proven, Subject, manifest, small_files
from services.archive.sealing.store import Named, RecordStore
from services.archive.sealing.story import WHOLE_LIVES, Told, names_version, told

_CHECKPOINT_SECONDS = 10.0
_OTHERS = ("deployment", "monitoring")


class Sealer:
    def __init__(self, copy: Copy, checkpoints: Checkpoints, store: RecordStore) -> None:
        self._copy = copy
        self._checkpoints = checkpoints
        self._store = store

    async def seal(self, subject: Subject) -> facts.RecordSealed:
        """The fact that follows. ArtifactTrouble when it cannot be made; Unavailable when it cannot be made yet."""
        gathered = await self._gather(subject)
        proven = await self._prove(subject, gathered)
        files = small_files(subject, gathered, proven)
        written = await asyncio.to_thread(
            self._store.write,
            Named(subject.record, subject.version),
            subject.artifact_sha256,
            files,
            lambda listed: manifest(subject, proven.head, gathered, listed),
        )
        return facts.RecordSealed(
            version=subject.version,
            manifest_sha256=written.manifest_sha256,
            image_sha256=written.image_sha256,
            artifact_sha256=subject.artifact_sha256,
            size_bytes=written.size_bytes,
            file_count=written.file_count,
            fact_count=len(gathered),
            checkpoint=types.TreeHead(size=proven.head.size, root_hash=proven.head.root),
            cut_revision=subject.cut_revision,
        )

    async def _gather(self, subject: Subject) -> list[Told]:
        """Every fact of the version, its model, its project and this record; what their decisions looked at; and the
        facts of deployments, alerts and retrainings that name the version."""
        version, cut = subject.version, subject.cut_revision
        own = await self._copy.of_resources([project_of(version), subject.model, version, subject.record], cut)
        found = {one.revision: reading for one in own if (reading := told(one.revision, one.payload))}
        looked_at = {read.revision for one in found.values() if one.fact.resource == version for read in one.fact.reads}
        for one in await self._copy.at(sorted(looked_at - found.keys() - {0})):
            if reading := told(one.revision, one.payload):
                found[one.revision] = reading
        for service in _OTHERS:
            resources = await self._copy.mentioning(service, project_of(version), version, cut)
            found |= await self._naming(version, [one for one in resources if one], cut)
        return [found[revision] for revision in sorted(found)]

    async def _naming(self, version: str, resources: list[str], cut: int) -> dict[int, Told]:
        """Facts of these resources that name the version; all facts of those whose whole life belongs to it."""
        stored = await self._copy.of_resources(resources, cut) if resources else []
        readings = [reading for one in stored if (reading := told(one.revision, one.payload))]
        naming = {one.revision for one in readings if names_version(one.event, version)}
        whole = {
            one.fact.resource
            for one in readings
            if one.revision in naming and one.fact.resource.split("/")[-2] in WHOLE_LIVES
        }
        return {one.revision: one for one in readings if one.revision in naming or one.fact.resource in whole}

    async def _prove(self, subject: Subject, gathered: list[Told]) -> Proven:
        try:
            async with asyncio.timeout(_CHECKPOINT_SECONDS):
                signed = await self._checkpoints.wait_covering(subject.cut_revision)
        except TimeoutError:
            text = f"no checkpoint covers revision {subject.cut_revision} yet; does the notary sign?"
            raise Unavailable("NOT_SIGNED_YET", text) from None
        paths = {}
        for one in gathered:
            paths[one.revision] = await self._copy.hashes(inclusion_spans(one.revision - 1, signed.head.size))
        return Proven(signed.head, signed.note, published(self._checkpoints.folder), paths)
