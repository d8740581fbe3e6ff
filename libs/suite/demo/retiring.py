"""Step 6: version 1 is deprecated, may not go while it serves, is drained, retired, and sealed into a record."""

import hashlib
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1 import events_pb2 as archive
from modelog.archive.v1.records_pb2 import GetRecordContentsRequest
from modelog.deployment.v1.types_pb2 import BlueGreen, Strategy
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import NotAllowedNow
from suite.demo import erasing
from suite.demo.rollouts import request, succeeded
from suite.demo.stage import MINA, Stage


async def play(stage: Stage) -> str:
    names, client = stage.names, stage.client
    first = names.version(1)
    await client.registry.DeprecateVersion(
        rpc.DeprecateVersionRequest(name=first, successor=names.version(2), message="Knows one scanner only."),
        metadata=stage.by(MINA),
    )
    await _refused(stage, first)
    stage.note("draining version 1")
    drained = await request(
        stage, names.laboratory, 2, Strategy(blue_green=BlueGreen(soak=Duration(nanos=500_000_000)))
    )
    await succeeded(stage, drained, "version 2 replaces version 1 on the second endpoint")
    retired = await client.registry.RetireVersion(rpc.RetireVersionRequest(name=first), metadata=stage.by(MINA))
    stage.note("sealing the record of version 1")
    sealed = await stage.journal.first(archive.RecordSealed, archive.ArchivingFailed, after=retired.revision)
    record = sealed.fact.resource if sealed.fact else ""
    stage.report.check("how archiving ended", "RecordSealed", type(sealed.event).__name__)
    archived = await stage.journal.first(registry.VersionArchived, of=first, after=retired.revision)
    named = archived.event.record if isinstance(archived.event, registry.VersionArchived) else ""
    stage.report.check("the record that version 1 names", record, named)
    verified = await client.archive.VerifyRecord(archive_rpc.VerifyRecordRequest(name=record))
    findings = [f"{one.reason} {one.path}" for one in verified.findings]
    stage.report.check("what is wrong with the sealed record", [], findings)
    await _image(stage, record)
    await erasing.play(stage)
    return f"version 1 could not go while it served, was drained, and is sealed with {verified.file_count} files"


async def _image(stage: Stage, record: str) -> None:
    """The record lies as an OCI image, whose manifest has the digest that the log says."""
    name = GetRecordContentsRequest(name=record)
    contents = await stage.client.archive.GetRecordContents(name, metadata=stage.by(MINA))
    manifest = Path(contents.image_address) / "blobs" / "sha256" / contents.image_sha256
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    stage.report.check("digest of the record's image manifest", contents.image_sha256, digest)


async def _refused(stage: Stage, version: str) -> None:
    """Retiring is refused, naming the endpoint that still serves the version."""
    found = ""
    try:
        await stage.client.registry.RetireVersion(rpc.RetireVersionRequest(name=version), metadata=stage.by(MINA))
    except NotAllowedNow as refusal:
        found = f"{refusal.reason} {refusal.metadata.get('endpoints', '')}"
    stage.report.check("retiring is refused while it serves", f"VERSION_IN_USE {stage.names.laboratory}", found)
