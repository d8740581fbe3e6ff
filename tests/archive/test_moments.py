"""Which revision a time is: facts may be recorded in another order than their times."""

from datetime import UTC, datetime, timedelta
from typing import Any

from modelog.archive.v1 import moments_pb2 as rpc
from modelog.log.v1.fact_pb2 import Fact
from modelog.type.v1.read_pb2 import ReadOptions
from tests.archive.calls import Archive
from tests.registry.office import refused

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = "projects/risk/models/m1"
SUBJECT = "lifecycle.registry.risk.models.m1"
# Seconds at which the facts 1, 2, ... were recorded; the clock of whoever wrote the fourth was behind. The fifth is no
# fact, and has no time.
SECONDS = (10, 20, 30, 25, None, 40)


def at(seconds: float) -> ReadOptions:
    read = ReadOptions()
    read.as_of_time.FromDatetime(START + timedelta(seconds=seconds))
    return read


async def filled(running: Archive) -> Any:
    for seconds in SECONDS:
        fact = Fact(resource=MODEL, id="00" * 16)
        if seconds is not None:
            fact.recorded_at.FromDatetime(START + timedelta(seconds=seconds))
        await running.put(SUBJECT, b"\xff" if seconds is None else fact.SerializeToString())

    async def locate(read: ReadOptions) -> rpc.LocateMomentResponse:
        reply: rpc.LocateMomentResponse = await running.stub.LocateMoment(
            rpc.LocateMomentRequest(read=read), timeout=10
        )
        return reply

    return locate


async def test_a_time_is_the_last_revision_before_the_first_fact_recorded_later(running: Archive) -> None:
    locate = await filled(running)
    expected = {9: 0, 10: 1, 20: 2, 25: 2, 29.9: 2, 30: 5, 39: 5, 40: 6, 99: 6}
    found = {seconds: (await locate(at(seconds))).revision for seconds in expected}
    assert found == expected


async def test_a_revision_has_the_time_of_its_fact(running: Archive) -> None:
    locate = await filled(running)
    for revision, seconds in enumerate(SECONDS, 1):
        reply = await locate(ReadOptions(as_of_revision=revision))
        assert reply.revision == revision
        assert reply.HasField("record_time") == (seconds is not None)
        if seconds is not None:
            assert reply.record_time.ToDatetime(tzinfo=UTC) == START + timedelta(seconds=seconds)
    assert (await locate(ReadOptions())).revision == len(SECONDS)


async def test_a_revision_behind_the_end_is_not_waited_for(running: Archive) -> None:
    locate = await filled(running)
    assert (await refused(locate(ReadOptions(as_of_revision=7))))[:2] == ("NOT_FOUND", "REVISION_NOT_FOUND")


async def test_a_fact_that_is_recorded_later_does_not_move_a_moment(running: Archive) -> None:
    locate = await filled(running)
    before = [(await locate(at(seconds))).revision for seconds in range(40)]
    fact = Fact(resource=MODEL, id="11" * 16)
    fact.recorded_at.FromDatetime(START + timedelta(seconds=15))
    await running.put(SUBJECT, fact.SerializeToString())
    assert [(await locate(at(seconds))).revision for seconds in range(40)] == before
