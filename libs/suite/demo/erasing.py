"""Part of step 6: a comment names a patient, and is erased without a trace in the log's evidence."""

import asyncio

from modelog.archive.v1 import erasure_service_pb2 as rpc
from modelog.archive.v1.erasures_pb2 import ERASURE_STATE_ERASED, ErasureScope
from modelog.registry.v1 import collaboration_pb2, collaboration_service_pb2
from modelog.texts import ERASED
from suite.demo.stage import ADA, MINA, Stage

_WORDS = "Frau Zimmermann's second scan of May was graded wrongly by it."
_LONGEST_SECONDS = 20.0


async def play(stage: Stage) -> None:
    """Ada writes of a patient, who asks for it to be erased; the fact and what proves it stay."""
    target = collaboration_pb2.ThreadTarget(name=stage.names.version(1))
    asked = collaboration_service_pb2.OpenThreadRequest(
        parent=stage.names.model, target=target, title="A complaint", body=_WORDS
    )
    opened = await stage.client.collaboration.OpenThread(asked, metadata=stage.by(ADA))
    stage.report.check("what Ada wrote of a patient", _WORDS, await _said(stage, opened.name))
    stage.note("erasing what names a patient")
    erase = rpc.EraseTextsRequest(
        parent=stage.names.project,
        erasure_id="patient-request-1",
        scope=ErasureScope(resource=opened.name),
        authority="the patient's request",
    )
    reply = await stage.client.erasures.EraseTexts(erase, metadata=stage.by(MINA))
    async with asyncio.timeout(_LONGEST_SECONDS):
        while True:
            done = await stage.client.erasures.GetErasure(rpc.GetErasureRequest(name=reply.name))
            if done.state == ERASURE_STATE_ERASED:
                break
            await asyncio.sleep(0.05)
    stage.report.check("facts whose words were erased", 1, done.erased_count)
    stage.report.check("what is read of it now", ERASED, await _said(stage, opened.name))


async def _said(stage: Stage, thread: str) -> str:
    found = await stage.client.collaboration.GetThread(collaboration_service_pb2.GetThreadRequest(name=thread))
    return str(found.comments[0].body)
