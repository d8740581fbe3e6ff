"""Free text beside the log, from being written to being erased, over a running registry and a running archive."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kernel.digest import views_digest
from kernel.jetstream import JetStreamLog, connect
from kernel.postgres import owning
from kernel.texts import subject_of
from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import erasure_service_pb2 as erasing
from modelog.archive.v1 import erasure_service_pb2_grpc as stubs
from modelog.archive.v1 import erasures_pb2 as types
from modelog.archive.v1 import retention_service_pb2 as retention
from modelog.archive.v1.retention_service_pb2_grpc import RetentionServiceStub
from modelog.archive.v1.retentions_pb2 import RetentionSettings
from modelog.known_states import state_in
from modelog.log.v1.fact_pb2 import Fact
from modelog.state.v1 import state_service_pb2 as states
from modelog.state.v1.state_service_pb2_grpc import StateServiceStub
from modelog.texts import DAMAGED, ERASED, markers_in
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive.domain.record import record_name
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.archive.calls import Archive, archive
from tests.archive.expiring import SHA256, erased, look, store_artifact, verify
from tests.registry.build import ADA, BEN, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, office

SECRET = "Frau Zimmermann from the branch in Ulm complained"
OTHER = "the threshold was rounded"


class Both:
    """A registry and an archive over one log."""

    def __init__(self, registry: Office, archive: Archive) -> None:
        self.registry, self.archive = registry, archive
        self.stub: Any = stubs.ErasureServiceStub(archive.live.channel)

    async def thread(self) -> list[str]:
        head = await self.registry.live.rooms.log.head()
        thread = await self.registry.GetThread(name=f"{MODEL_NAME}/threads/1", read={"at_least": head})
        return [one.body for one in thread.comments]

    async def history(self) -> list[Any]:
        request = rpc.GetHistoryRequest(name=f"{MODEL_NAME}/threads/1")
        request.read.at_least = await self.registry.live.rooms.log.head()
        return list((await self.archive.stub.GetHistory(request, timeout=10)).entries)

    async def payloads(self) -> bytes:
        return b"".join(one.payload for one in await self.archive.entries())

    async def erased(self, erasure_id: str, **scope: Any) -> types.Erasure:
        request = erasing.EraseTextsRequest(
            parent=PROJECT_NAME, erasure_id=erasure_id, scope=types.ErasureScope(**scope), authority="DSR 17"
        )
        reply = await self.stub.EraseTexts(request, timeout=10)
        asked = erasing.GetErasureRequest(name=reply.name)
        asked.read.at_least = reply.revision
        async with asyncio.timeout(20):
            while True:
                found: types.Erasure = await self.stub.GetErasure(asked, timeout=10)
                if found.state == types.ERASURE_STATE_ERASED:
                    return found
                await asyncio.sleep(0.05)

    async def digests(self) -> dict[str, dict[str, str]]:
        """Of the tables of both, once they have folded what there is; positions and requests included."""
        head, found = await self.registry.live.rooms.log.head(), {}
        for live in (self.registry.live, self.archive.live):
            await live.rooms.resources.wait(head)
            async with owning(live.rooms.settings.postgres_owner_url, schema=live.schema) as pool:
                found[live.schema] = await views_digest(pool, live.schema)
        return found


@pytest.fixture
async def both(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Both]:
    other = f"{schema}a"
    async with (
        office(nats, postgres, tmp_path, schema) as registry,
        archive(nats, postgres, tmp_path, other) as kept,
    ):
        await registry.found_model()
        target = {"name": MODEL_NAME}
        await registry.OpenThread(parent=MODEL_NAME, target=target, title="Bias", body=SECRET, reason="asked", by=ADA)
        await registry.PostComment(name=f"{MODEL_NAME}/threads/1", body=OTHER, by=BEN)
        yield Both(registry, kept)


def on_disk(folder: Path, text: str) -> list[Path]:
    found = [one for one in folder.rglob("*") if one.is_file() and text.encode() in one.read_bytes()]
    return [one for one in found if "postgres" not in one.parts]


async def test_what_people_write_is_read_everywhere_and_stands_in_no_fact(both: Both) -> None:
    assert await both.thread() == [SECRET, OTHER]
    payloads = await both.payloads()
    assert SECRET.encode() not in payloads
    assert b"asked" not in payloads
    assert len(markers_in(payloads)) == 3
    opened = (await both.history())[0].fact
    assert opened.reason == "asked"
    assert SECRET.encode() in opened.event.value
    texts: dict[str, str] = {}
    async for reply in both.archive.stub.ReadFacts(rpc.ReadFactsRequest(with_texts=True), timeout=10):
        texts |= dict(reply.texts)
    assert sorted(texts.values()) == sorted([SECRET, OTHER, "asked"])
    async for reply in both.archive.stub.ReadFacts(rpc.ReadFactsRequest(), timeout=10):
        assert not reply.texts


async def test_what_one_person_wrote_is_erased_and_everything_else_stays_as_it_was(both: Both, tmp_path: Path) -> None:
    assert on_disk(tmp_path, SECRET)
    head = await both.registry.live.rooms.log.head()
    before, payloads = await both.digests(), hashlib.sha256(await both.payloads()).digest()
    erasure = await both.erased("dsr-17", author=ADA)
    assert (erasure.erased_count, erasure.held_count, erasure.portion_count) == (1, 0, 1)
    assert await both.thread() == [ERASED, OTHER]
    assert on_disk(tmp_path, SECRET) == []
    assert on_disk(tmp_path, OTHER)
    kept = [one for one in await both.archive.entries() if one.revision <= head]
    assert hashlib.sha256(b"".join(one.payload for one in kept)).digest() == payloads
    after = await both.digests()
    registry = both.registry.live.schema
    for table in ("thread", "thread_history", "model", "model_history", "request"):
        assert after[registry][table] == before[registry][table], table
    bundle = await both.archive.exported(
        tmp_path / "bundle.tar", to_revision=(await both.archive.signed(head)).head.size
    )
    assert audit.verify(bundle, await both.archive.vkey()).ok
    again = await both.erased("dsr-18", author=ADA)
    assert again.erased_count >= 1, "asked again it is nothing to the texts, and on record all the same"
    assert await both.thread() == [ERASED, OTHER]


async def test_views_that_are_folded_again_are_those_that_held_the_texts(
    both: Both, nats: NatsServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    await both.erased("dsr-17", resource=MODEL_NAME)
    assert await both.thread() == [ERASED, ERASED]
    head = await both.registry.live.rooms.log.head()
    live = (await both.digests())[both.registry.live.schema]
    schema = f"{both.registry.live.schema}again"
    async with office(nats, postgres, tmp_path, schema) as anew:
        await anew.live.rooms.resources.wait(head)
        async with owning(anew.live.rooms.settings.postgres_owner_url, schema=schema) as pool:
            again = await views_digest(pool, schema)
    assert {name: again[name] for name in live if name != "position"} == {
        name: one for name, one in live.items() if name != "position"
    }


async def test_a_legal_hold_keeps_texts_and_the_erasure_says_so(both: Both) -> None:
    held = rpc.PlaceHoldRequest(parent=PROJECT_NAME, hold_id="case", resources=[f"{MODEL_NAME}/threads/1"])
    await both.archive.stub.PlaceHold(held, timeout=10)
    erasure = await both.erased("dsr-17", author=ADA)
    assert (erasure.erased_count, erasure.held_count) == (0, 1)
    assert await both.thread() == [SECRET, OTHER]
    await both.archive.stub.ReleaseHold(rpc.ReleaseHoldRequest(name=f"{PROJECT_NAME}/holds/case"), timeout=10)
    await both.archive.live.rooms.resources.wait(await both.registry.live.rooms.log.head())
    assert (await both.erased("dsr-18", author=ADA)).erased_count >= 1
    assert await both.thread() == [ERASED, OTHER]


async def test_a_hold_by_query_keeps_texts_about_the_versions_that_meet_it(both: Both) -> None:
    held_one = await both.registry.register(reason="held", framework="torch", by=ADA)
    await both.registry.register(reason="free", framework="jax", by=ADA)
    placing = rpc.PlaceHoldRequest(parent=PROJECT_NAME, hold_id="case", query="framework = torch")
    await both.archive.stub.PlaceHold(placing, timeout=10)
    erasure = await both.erased("dsr-17", author=ADA)
    assert erasure.held_count == 1
    assert await both.thread() == [ERASED, OTHER]
    request = rpc.GetHistoryRequest(name=held_one)
    assert [one.fact.reason for one in (await both.archive.stub.GetHistory(request, timeout=10)).entries] == ["held"]


async def test_what_people_wrote_about_a_version_goes_with_its_record(both: Both, tmp_path: Path) -> None:
    store_artifact(tmp_path)
    bytes_of = {"uri": f"cas:sha256/{SHA256}", "sha256": SHA256, "size_bytes": 10_000, "format": "onnx"}
    version = (await both.registry.RegisterVersion(parent=MODEL_NAME, artifact=bytes_of, reason="first", by=ADA)).name
    await both.registry.RetireVersion(name=version, reason="too old", by=BEN)
    record = record_name(version)
    await both.archive.sealed(record)
    project = PROJECT_NAME
    days = RetentionSettings(days=30)
    stub: Any = RetentionServiceStub(both.archive.live.channel)
    await stub.SetRetention(retention.SetRetentionRequest(parent=project, retention_id="r", settings=days), timeout=10)
    assert await look(both.archive, 31) == 1
    gone = await erased(both.archive, record)
    told = (await stub.ListRecordErasures(retention.ListRecordErasuresRequest(parent=project), timeout=10)).erasures
    facts = [Fact.FromString(one.payload) for one in await both.archive.entries() if markers_in(one.payload)]
    about = [one for one in facts if one.resource == version]
    assert [(one.record, one.text_count) for one in told] == [(record, len(about))]
    assert len(about) >= 2
    request = rpc.GetHistoryRequest(name=version, read={"at_least": gone.revision})
    entries = (await both.archive.stub.GetHistory(request, timeout=10)).entries
    assert {one.fact.reason for one in entries if one.fact.actor.id in (ADA, BEN)} == {ERASED}
    assert await both.thread() == [SECRET, OTHER], "the talk about the model is another matter"
    assert (await verify(both.archive, record)).intact


async def test_only_the_facts_that_are_named_lose_their_texts(both: Both) -> None:
    second = (await both.history())[1].revision
    await both.erased("one", facts=types.ErasedRevisions(revisions=[second]))
    assert await both.thread() == [SECRET, ERASED]


async def test_an_erasure_is_asked_for_with_care(both: Both) -> None:
    async def refused(parent: str, **scope: Any) -> str:
        request = erasing.EraseTextsRequest(
            parent=parent, erasure_id="x", authority="me", scope=types.ErasureScope(**scope)
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await both.stub.EraseTexts(request, timeout=10)
        return str(error.value.details())

    assert "belong" in await refused(PROJECT_NAME, resource="projects/other/models/x")
    assert "name an author" in await refused(PROJECT_NAME)
    assert "name an author" in await refused("projects/all", resource=MODEL_NAME)


async def test_a_marker_is_nobodys_words(both: Both) -> None:
    mark = markers_in(await both.payloads())[0]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await both.registry.PostComment(name=f"{MODEL_NAME}/threads/1", body=f"look: {mark}", by=BEN)
    assert "stands for a text" in str(error.value.details())


async def test_a_text_that_was_changed_in_its_store_is_called_damaged(both: Both, nats: NatsServer) -> None:
    mark = next(one for one in markers_in((await both.archive.entries())[-1].payload))
    subject = subject_of(mark)
    client = await connect(nats.url, name="hand")
    found = await JetStreamLog(client, stream="TEXTS").next(subject, 0)
    assert found
    await client.jetstream().delete_msg("TEXTS", found.revision)
    await client.jetstream().publish(subject, found.payload + b"!")
    await client.close()
    assert await both.thread() == [SECRET, DAMAGED]


async def test_a_list_of_all_states_shows_texts_and_forgets_them_in_the_past_too(both: Both) -> None:
    stub = StateServiceStub(both.registry.live.channel)
    head = await both.registry.live.rooms.log.head()

    async def thread() -> tuple[list[str], bytes]:
        asked = states.ListStatesRequest(parent=PROJECT_NAME, read=ReadOptions(as_of_revision=head))
        found = (await stub.ListStates(asked, timeout=10)).states
        (one,) = (state for state in found if state.kind == "thread")
        opened = state_in(one.state)
        assert opened is not None
        return [comment.body for comment in opened.comments], one.sha256

    (before, digest) = await thread()
    assert before == [SECRET, OTHER]
    await both.erased("of-ada", author=ADA)
    assert await thread() == ([ERASED, OTHER], digest)
