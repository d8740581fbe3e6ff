"""What the auditor asks about access: who was refused at the doors, and who could approve, then and now."""

from modelog.access.v1.types_pb2 import VERDICT_REFUSED
from modelog.archive.v1 import archive_service_pb2 as archive
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import pages
from modelog.type.v1.read_pb2 import ReadOptions
from suite.demo.stage import ADA, MINA, PETRA, Stage

_REFUSED = (f"{ADA} NOT_GRANTED", f"{ADA} SEPARATION_OF_DUTIES", f"{PETRA} SELF_GRANT")


async def play(stage: Stage) -> None:
    stage.note("asking who was refused, and who could approve")
    request = archive.ListAccessRecordsRequest(parent=stage.names.project, verdict=VERDICT_REFUSED)
    entries = [entry async for entry in pages(stage.client.archive.ListAccessRecords, request)]
    told = sorted({f"{entry.record.principal.id} {entry.record.reason}" for entry in entries})
    stage.report.check("who was refused at the doors, and why", sorted(_REFUSED), told)
    begun = stage.journal.every(facts.ProjectCreated, of=stage.names.project)[0].revision
    answers = [await _may_approve(stage, begun), await _may_approve(stage, 0)]
    stage.report.check("whether Mina could approve, at first and now", ["NOT_GRANTED", "GRANTED"], answers)


async def _may_approve(stage: Stage, revision: int) -> str:
    """As of a revision; now when it is 0."""
    read = ReadOptions(as_of_revision=revision) if revision else None
    request = rpc.CheckAccessRequest(
        principal=MINA, permission="registry.reviews.submit", resource=stage.names.version(1), read=read
    )
    return (await stage.client.registry.CheckAccess(request)).reason
