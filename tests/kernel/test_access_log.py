"""Who is refused, and who reads a former state, is recorded before being answered, or is not answered."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from kernel.access_log import AccessLog, Journal, plain
from kernel.errors import Denied, Unavailable
from kernel.identity import Caller, Development, Method, Peer, Permit
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.access.v1.types_pb2 import VERDICT_ALLOWED, VERDICT_REFUSED, AccessRecord
from modelog.type.v1.principal_pb2 import Principal
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit import recorded
from testkit.live import Live, actor, service
from tests.kernel.test_service import details
from tests.kernel.toy import SERVICE, TOY, TOYS, M, ToyServicer

NAME = "projects/p/toys/ball"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVE = actor("users/eve")
UNRECORDED_TOTAL = "modelog_access_not_recorded_total"
PATH = "modelog.registry.toy.ToyService"


class NotEve(Development):
    """Everybody may do everything, but eve."""

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        if caller.principal.id == "users/eve":
            raise Denied("NOT_GRANTED", "users/eve holds no role\r\n\x1b[2Jhere")
        return Permit((("projects/p", 7),), "GRANTED")


def forbidding(_toy: Any, **_asked: Any) -> Message:
    raise Denied("SEPARATION_OF_DUTIES", "users/ada made it")


class Counting(ToyServicer):
    """Counts what it was let in for, and refuses some of it in the verb itself."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self.entered: list[str] = []

    async def GetToy(self, request: Any, context: Any) -> bytes:
        self.entered.append(request.name)
        return await super().GetToy(request, context)

    async def Add(self, request: Any, context: Any) -> Any:
        if request.amount != 13:
            return await super().Add(request, context)
        return await self._rooms.transact(TOY, request.name, context.cause(), partial(forbidding))


class Toys:
    """A running toy service behind an authority, and its calls."""

    def __init__(self, live: Live, servicer: Counting) -> None:
        self.live = live
        self.servicer = servicer

    async def call(self, method: str, *, metadata: Any = (), timeout: float = 20, **fields: Any) -> Any:
        call: Any = self.live.channel.unary_unary(
            f"/{PATH}/{method}", request_serializer=getattr(M, f"{method}Request").SerializeToString
        )
        return await call(getattr(M, f"{method}Request")(**fields), timeout=timeout, metadata=metadata)

    async def refused(self, method: str, **fields: Any) -> tuple[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, **fields)
        return caught.value.code().name, details(caught.value)[0]


@pytest.fixture
async def toys(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Toys]:
    servicers: list[Counting] = []

    def doors(rooms: Rooms) -> Any:
        servicers.append(Counting(rooms))
        return [(SERVICE, servicers[0])]

    guarded = replace(TOYS, authority=lambda _: NotEve(), doors=doors)
    async with service(guarded, nats, postgres, tmp_path, schema=schema, identity="roles") as live:
        yield Toys(live, servicers[0])


async def test_a_refused_call_leaves_one_record_and_no_fact(toys: Toys, nats: NatsServer) -> None:
    metadata = (*EVE, ("authorization", "Bearer abc.def"), ("x-correlation-id", "case-1"), ("x-other", "hidden"))
    refusal = await toys.refused("MakeToy", parent="projects/p", toy_id="ball", label="secret", metadata=metadata)
    assert refusal == ("PERMISSION_DENIED", "NOT_GRANTED")
    (record,) = await recorded.records(nats)
    assert await recorded.facts(nats) == 0
    assert (record.service, record.method) == ("registry", f"{PATH}/MakeToy")
    assert (record.permission, list(record.resources)) == ("toy.toys.maketoy", ["projects/p"])
    assert (record.principal.id, record.verdict) == ("users/eve", VERDICT_REFUSED)
    assert record.reason == "NOT_GRANTED"
    assert record.explanation == "users/eve holds no role\ufffd\ufffd\ufffd[2Jhere"
    assert record.client_address.startswith("ipv4:127.0.0.1:")
    assert record.client_agent.startswith("grpc-python")
    assert record.correlation_id == "case-1"
    assert abs(record.recorded_at.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds() < 60
    for hidden in (b"abc.def", b"hidden", b"secret"):
        assert hidden not in record.SerializeToString()


async def test_a_refusal_by_the_verb_itself_counts_too(toys: Toys, nats: NatsServer) -> None:
    await toys.call("MakeToy", parent="projects/p", toy_id="ball")
    before = await recorded.facts(nats)
    assert await toys.refused("Add", name=NAME, amount=13) == ("PERMISSION_DENIED", "SEPARATION_OF_DUTIES")
    (record,) = await recorded.records(nats)
    assert (record.reason, list(record.resources)) == ("SEPARATION_OF_DUTIES", [NAME])
    assert await recorded.facts(nats) == before


async def test_who_cannot_be_told_is_recorded_without_a_name(toys: Toys, nats: NatsServer) -> None:
    refusal = await toys.refused("GetToy", name=NAME, metadata=(("x-modelog-actor", "x"),))
    assert refusal == ("UNAUTHENTICATED", "ACTOR_FORMAT")
    (record,) = await recorded.records(nats)
    assert (record.HasField("principal"), list(record.resources)) == (False, [])
    assert (record.reason, record.method) == ("ACTOR_FORMAT", f"{PATH}/GetToy")


async def test_reads_of_former_states_are_recorded_and_others_are_not(toys: Toys, nats: NatsServer) -> None:
    await toys.call("MakeToy", parent="projects/p", toy_id="ball")
    await toys.call("GetToy", name=NAME, read={"at_least": 1})
    await toys.call("ListToys", parent="projects/p")
    assert (await toys.refused("GetToy", name=f"{NAME}2"))[0] == "NOT_FOUND"
    assert await recorded.records(nats) == []
    await toys.call("GetToy", name=NAME, read={"as_of_revision": 1})
    await toys.call("ListToys", parent="projects/p", read={"as_of_time": {"seconds": 1}})
    known = await recorded.records(nats)
    assert [one.method.rpartition("/")[2] for one in known] == ["GetToy", "ListToys"]
    assert [one.verdict for one in known] == [VERDICT_ALLOWED] * 2
    assert (known[0].reason, dict(known[0].revisions)) == ("GRANTED", {"projects/p": 7})
    assert list(known[0].resources) == [NAME]


async def made(toys: Toys) -> None:
    """The toy is there, and in the views too."""
    reply = await toys.call("MakeToy", parent="projects/p", toy_id="ball")
    await toys.call("GetToy", name=NAME, read={"at_least": M.MakeToyResponse.FromString(reply).revision})


async def unanswered(toys: Toys) -> None:
    """Neither a refusal nor a former state is told, and what needs no record goes on."""
    wanted = ("UNAVAILABLE", "ACCESS_NOT_RECORDED")
    entered = len(toys.servicer.entered)
    asked = [
        toys.refused("GetToy", name=NAME, metadata=EVE),
        toys.refused("GetToy", name=NAME, read={"as_of_revision": 1}),
    ]
    assert await asyncio.gather(*asked) == [wanted, wanted]
    assert len(toys.servicer.entered) == entered
    await toys.call("GetToy", name=NAME)


async def answered(toys: Toys, nats: NatsServer) -> None:
    """As ever; each leaves one record."""
    before = len(await recorded.records(nats))
    async with asyncio.timeout(30):
        while (await toys.refused("GetToy", name=NAME, metadata=EVE))[0] != "PERMISSION_DENIED":
            await asyncio.sleep(0.2)
    await toys.call("GetToy", name=NAME, read={"as_of_revision": 1})
    assert len(await recorded.records(nats)) >= before + 2


async def test_without_the_stream_nothing_is_answered_that_has_to_be_recorded(toys: Toys, nats: NatsServer) -> None:
    await made(toys)
    await recorded.remove(nats)
    await unanswered(toys)
    await recorded.make(nats)
    await answered(toys, nats)


async def test_a_full_stream_says_so_at_once(toys: Toys, nats: NatsServer) -> None:
    await made(toys)
    await recorded.remove(nats)
    await recorded.make(nats, max_msgs=1)
    await toys.refused("GetToy", name=NAME, metadata=EVE)
    began = asyncio.get_running_loop().time()
    await unanswered(toys)
    assert asyncio.get_running_loop().time() - began < 4, "a full stream was asked again and again"
    await recorded.remove(nats)
    await recorded.make(nats)
    await answered(toys, nats)


async def test_without_the_server_nothing_is_answered_that_has_to_be_recorded(toys: Toys, nats: NatsServer) -> None:
    await made(toys)
    await nats.stop()
    await unanswered(toys)
    await nats.start()
    await answered(toys, nats)


class Server:
    """A connection to a server that answers as it is told: with these replies, then not at all."""

    def __init__(self, *replies: bytes) -> None:
        self.ids: list[str] = []
        self.held: list[str] = []
        self._replies = list(replies)
        self._heard: Any = None

    def new_inbox(self) -> str:
        return "inbox"

    async def receive(self, _subject: str, heard: Callable[..., None]) -> None:
        self._heard = heard

    async def publish(self, _subject: str, _payload: bytes, *, reply: str, headers: dict[str, str]) -> None:
        self.ids.append(headers["Nats-Msg-Id"])
        self.held.append(reply)
        if self._replies:
            self.answer(self._replies.pop(0))

    def answer(self, data: bytes, headers: bytes = b"") -> None:
        self._heard(self.held.pop(0).encode(), b"", data, headers)


def access_log(server: Any) -> AccessLog:
    return AccessLog(server, "registry")


STORED = orjson.dumps({"stream": "ACCESS", "seq": 1})


async def test_a_record_whose_answer_was_lost_is_sent_again_under_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.access_log._ATTEMPT_SECONDS", 0.05)
    server = Server()
    recording = asyncio.create_task(access_log(server).record(AccessRecord(id="one")))
    while len(server.ids) < 2:
        await asyncio.sleep(0.01)
    server.held = server.held[1:]
    server.answer(STORED)
    await recording
    assert set(server.ids) == {"one"}


async def test_a_flood_of_refusals_leaves_room_for_reads_and_is_not_let_pile_up() -> None:
    server = Server()
    log = access_log(server)
    flood = [asyncio.create_task(log.record(AccessRecord(id=str(n), verdict=VERDICT_REFUSED))) for n in range(1000)]
    async with asyncio.timeout(20):
        while sum(one.done() for one in flood) < 1000 - 128 or len(server.held) < 128:
            await asyncio.sleep(0.01)
    await asyncio.wait(flood, timeout=0.2)
    ended = [one for one in flood if one.done()]
    assert len(server.held) == 128
    assert len(ended) == 1000 - 128
    for one in ended:
        assert isinstance(one.exception(), Unavailable)
    reading = asyncio.create_task(log.record(AccessRecord(id="read", verdict=VERDICT_ALLOWED)))
    while "read" not in server.ids:
        await asyncio.sleep(0.01)
    while server.held:
        server.answer(STORED)
    await asyncio.wait_for(reading, 5)
    again = asyncio.create_task(log.record(AccessRecord(id="again", verdict=VERDICT_REFUSED)))
    while not server.held:
        await asyncio.sleep(0.01)
    server.answer(STORED)
    await again


async def test_operators_hear_when_recording_fails_and_when_it_works_again() -> None:
    full = orjson.dumps({"error": {"err_code": 10077, "description": "maximum bytes exceeded"}})
    log = access_log(Server(full, full, full, STORED, STORED))
    before = REGISTRY.get_sample_value(UNRECORDED_TOTAL)
    with structlog.testing.capture_logs() as said:
        for number in range(3):
            with pytest.raises(Unavailable, match="maximum bytes exceeded"):
                await log.record(AccessRecord(id=str(number)))
        await log.record(AccessRecord(id="3"))
        await log.record(AccessRecord(id="4"))
    assert [one["failing"] for one in said] == [True, False]
    assert REGISTRY.get_sample_value(UNRECORDED_TOTAL) == (before or 0) + 3


async def test_whoever_hangs_up_is_recorded_all_the_same() -> None:
    server = Server()
    call = asyncio.create_task(access_log(server).record(AccessRecord(id="gone", verdict=VERDICT_REFUSED)))
    await asyncio.sleep(0)
    call.cancel()
    while not server.ids:
        await asyncio.sleep(0.01)
    assert server.ids == ["gone"]
    server.answer(STORED)


class Kept:
    def __init__(self) -> None:
        self.records: list[AccessRecord] = []

    async def record(self, record: AccessRecord) -> None:
        self.records.append(record)


@given(st.text(st.characters() | st.sampled_from("\r\x1b\x85\u2028\u202e\u2067\U0001f600"), max_size=600))
def test_what_others_wrote_stands_on_one_line_of_limited_length(text: str) -> None:
    said = plain(text)
    assert len(said.encode()) <= 512
    assert len(said) == len(text) or len(said.encode()) > 508
    assert not {unicodedata.category(one) for one in said} & {"Cc", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(one) for one in said} & {"LRO", "RLO", "LRI", "RLI", "FSI", "PDI", "PDF"}


async def test_the_largest_record_fits_into_a_message() -> None:
    long, kept = "\U0001f600" * 5000, Kept()
    principals = tuple(Principal(id=long, auth_method=long) for _ in range(100))
    reads = tuple((f"{n}{long}", 1 << 60) for n in range(100))
    method = Method("m" * 200, "p" * 100, SERVICE.methods[0])
    await Journal(kept, "registry", lambda: NOW).write(
        method,
        Peer(long),
        caller=Caller(principals[0], principals),
        names=[long] * 256,
        refused=(long, long),
        permit=Permit(reads),
        metadata={"user-agent": long, "x-correlation-id": long},
    )
    (record,) = kept.records
    assert record.ByteSize() <= 64 * 1024
