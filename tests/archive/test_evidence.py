"""Checkpoints, proofs and exported bundles of a running archive, verified offline."""

import hashlib
from pathlib import Path

import grpc
import pytest

from modelog import audit
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive import bundle, merkle
from services.archive.checkpoint import parse_vkey
from tests.archive.calls import Archive, packed, refused
from tests.archive.stories import Chronicle, life_of_version
from tests.archive.test_stream import story_of
from tests.archive.trees import defined_root


async def told(running: Archive, story: Chronicle) -> int:
    revision = await running.tell(story)
    await running.signed(revision)
    return revision


async def test_a_checkpoint_covers_each_fact_within_two_seconds(running: Archive) -> None:
    story = story_of(30)
    for at, (subject, fact) in enumerate(story.facts, 1):
        await running.put(subject, packed(fact))
        if at % 10 == 0:
            checkpoint = await running.signed(at)
            root = defined_root([packed(one) for _, one in story.facts[: checkpoint.head.size]])
            assert checkpoint.head.root_hash == root
            head = parse_vkey(await running.vkey()).open(checkpoint.note)
            assert (head.size, head.root) == (checkpoint.head.size, root)
    newest = await running.stub.GetCheckpoint(rpc.GetCheckpointRequest(), timeout=5)
    same = await running.stub.GetCheckpoint(rpc.GetCheckpointRequest(size=30), timeout=5)
    assert (newest.name, newest.note) == (same.name, same.note)  # The witness may have come in between.
    page = await running.stub.ListCheckpoints(rpc.ListCheckpointsRequest(page_size=1), timeout=5)
    assert [(one.name, one.note) for one in page.checkpoints] == [(newest.name, newest.note)]
    rest = await running.stub.ListCheckpoints(rpc.ListCheckpointsRequest(page_token=page.next_page_token), timeout=5)
    sizes = [one.head.size for one in rest.checkpoints]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < 30
    notary = await running.stub.GetNotary(rpc.GetNotaryRequest(), timeout=5)
    assert (notary.state, notary.signed_size, notary.copied_size) == (types.NOTARY_STATE_SIGNING, 30, 30)


async def test_one_fact_is_proven_offline(running: Archive) -> None:
    story = story_of(40)
    await told(running, story)
    vkey = await running.vkey()
    for revision in (1, 17, 40):
        proof = await running.stub.GetInclusionProof(rpc.GetInclusionProofRequest(revision=revision), timeout=5)
        assert proof.payload == packed(story.facts[revision - 1][1])
        assert proof.leaf_hash == hashlib.sha256(b"\0" + proof.payload).digest()
        text = bundle.proof_text(revision - 1, list(proof.hashes), proof.checkpoint.note)
        assert audit.verify_fact(proof.payload, text, vkey).ok
    smaller = await running.stub.GetInclusionProof(rpc.GetInclusionProofRequest(revision=3, size=5), timeout=5)
    root = merkle.root_of_inclusion(2, 5, smaller.leaf_hash, list(smaller.hashes))
    assert root == smaller.head.root_hash == defined_root([packed(one) for _, one in story.facts[:5]])


async def test_growth_is_proven(running: Archive) -> None:
    await told(running, story_of(40))
    for old, new in ((1, 40), (16, 40), (23, 37), (40, 40), (7, 0)):
        proof = await running.stub.GetConsistencyProof(
            rpc.GetConsistencyProofRequest(from_size=old, to_size=new), timeout=5
        )
        first, last = getattr(proof, "from"), proof.to
        assert (first.size, last.size) == (old, new or 40)
        assert merkle.consistent(first.size, last.size, first.root_hash, last.root_hash, list(proof.hashes))


async def test_what_cannot_be_proven_is_refused(running: Archive) -> None:
    ask = running.stub.GetInclusionProof
    not_found, invalid = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
    empty = rpc.GetCheckpointRequest()
    assert await refused(running.stub.GetCheckpoint(empty, timeout=5)) == (not_found, "CHECKPOINT_NOT_FOUND")
    growth = rpc.GetConsistencyProofRequest(from_size=1)
    early = await refused(running.stub.GetConsistencyProof(growth, timeout=5))
    assert early == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_SIGNED_YET")
    await told(running, story_of(5))
    assert await refused(ask(rpc.GetInclusionProofRequest(revision=9), timeout=5)) == (not_found, "REVISION_NOT_FOUND")
    assert (await refused(ask(rpc.GetInclusionProofRequest(revision=4, size=3), timeout=5)))[0] is invalid
    as_of = rpc.GetInclusionProofRequest(revision=1, read=ReadOptions(as_of_revision=2))
    assert (await refused(ask(as_of, timeout=5)))[0] is invalid
    shrinking = rpc.GetConsistencyProofRequest(from_size=4, to_size=3)
    assert (await refused(running.stub.GetConsistencyProof(shrinking, timeout=5)))[0] is invalid


async def test_the_whole_log_is_exported_and_verified_offline(running: Archive, tmp_path: Path) -> None:
    await running.tell(story_of(700))
    await running.put("lifecycle.registry.p0.models.m", b"\xffpoison")
    await running.signed(701)
    path = await running.exported(tmp_path / "bundle.tar", proof_revisions=[1, 350, 701])
    report = audit.verify(path, await running.vkey())
    assert report.findings == []
    assert (report.from_revision, report.to_revision, report.entries, report.unreadable) == (1, 701, 701, 1)
    assert report.proofs == 3
    assert report.checkpoints >= 2
    stranger = "other.test+5e7ba9b1+AVuMtoSBWb4VvR3O2bFPyDyBzhZCTjpH0ak9lIcWrVBV"
    assert not audit.verify(path, stranger).ok


@pytest.mark.parametrize(("first", "last"), [(1, 10), (2, 2), (17, 300), (513, 520), (690, 700)])
async def test_a_range_is_exported_and_verified_offline(
    running: Archive, tmp_path: Path, first: int, last: int
) -> None:
    await told(running, story_of(700))
    path = await running.exported(
        tmp_path / "bundle.tar", from_revision=first, to_revision=last, proof_revisions=[last], read={"at_least": 700}
    )
    report = audit.verify(path, await running.vkey())
    assert report.findings == []
    assert (report.entries, report.size, report.proofs) == (last - first + 1, 700, 1)


async def test_an_export_that_makes_no_sense_is_refused(running: Archive, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar"
    assert await refused(running.exported(path)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_SIGNED_YET")
    await told(running, story_of(5))
    for wrong in ({"from_revision": 4, "to_revision": 3}, {"to_revision": 3, "proof_revisions": [4]}):
        assert (await refused(running.exported(path, **wrong)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    beyond = await refused(running.exported(path, to_revision=6))
    assert beyond == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_SIGNED_YET")


async def test_the_story_of_a_version_is_found_in_its_history(running: Archive) -> None:
    story = life_of_version("ab" * 32)
    head = await running.tell(story)
    version = "projects/risk/models/fraud/versions/3"
    read = ReadOptions(at_least=head)
    ask = running.stub.GetHistory
    reply = await ask(rpc.GetHistoryRequest(name=version, read=read), timeout=5)
    assert [one.revision for one in reply.entries] == [3, 5, 6, 7, 8, 20, 21]
    assert [one.fact for one in reply.entries] == [story.facts[one.revision - 1][1] for one in reply.entries]
    assert reply.entries[-1].event_type == "modelog.registry.v1.VersionRetired"
    below = await ask(rpc.GetHistoryRequest(name="projects/risk/monitors", below=True, read=read), timeout=5)
    assert [one.revision for one in below.entries] == [17, 18, 19]
    reviews = rpc.GetHistoryRequest(
        below=True, filter=types.FactFilter(actors=["users/bob"]), from_revision=2, to_revision=head, read=read
    )
    assert [one.revision for one in (await ask(reviews, timeout=5)).entries] == [7]
    early = rpc.GetHistoryRequest(name=version, read=ReadOptions(as_of_revision=6), descending=True)
    assert [one.revision for one in (await ask(early, timeout=5)).entries] == [6, 5, 3]
    by_time = ReadOptions(at_least=head, as_of_time=story.facts[6][1].recorded_at)
    past = await ask(rpc.GetHistoryRequest(name=version, read=by_time), timeout=5)
    assert [one.revision for one in past.entries] == [3, 5, 6, 7]


@pytest.mark.parametrize("descending", [False, True])
async def test_history_pages_through_everything_once(running: Archive, descending: bool) -> None:
    head = await running.tell(story_of(25))
    found: list[int] = []
    request = rpc.GetHistoryRequest(below=True, page_size=10, descending=descending, read=ReadOptions(at_least=head))
    while True:
        page = await running.stub.GetHistory(request, timeout=5)
        found += [one.revision for one in page.entries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == sorted(range(1, 26), reverse=descending)
    request.name = "projects/p1"
    assert (await refused(running.stub.GetHistory(request, timeout=5)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    unnamed = rpc.GetHistoryRequest()
    assert (await refused(running.stub.GetHistory(unnamed, timeout=5)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_poison_stands_in_the_history_of_the_resource_it_struck(running: Archive) -> None:
    story = Chronicle()
    life = life_of_version("ab" * 32).facts[1:2]
    story.facts += life
    await running.tell(story)
    head = await running.put(life[0][0], b"\xff\xff poison")
    request = rpc.GetHistoryRequest(name=life[0][1].resource, read=ReadOptions(at_least=head))
    first, second = (await running.stub.GetHistory(request, timeout=5)).entries
    assert first.fact == life[0][1]
    assert (second.revision, second.unreadable, second.event_type) == (head, b"\xff\xff poison", "")
    assert not second.HasField("fact")
