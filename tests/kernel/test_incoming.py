"""Calls that stream to the door: each message is taken in like a call of one request, and answered in its order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from kernel import incoming
from kernel.errors import Denied, Unauthenticated
from kernel.identity import LEEWAY_SECONDS, Caller, Development, Method, Peer, Permit
from kernel.rooms import Rooms
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit import recorded
from testkit.live import Live, actor, service
from tests.kernel.test_service import details
from tests.kernel.toy import SERVICE, TOYS, M, ToyServicer

PATH = "/modelog.registry.toy.ToyService"
BALL, CUBE = "projects/p/toys/ball", "projects/p/toys/cube"
ADA = actor("users/ada")


class Doorkeeper(Development):
    """Lets everybody in but to what is called secret, and knows when their credentials expire."""

    def __init__(self) -> None:
        self.expires: datetime | None = None

    async def identify(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        if metadata.get("x-modelog-actor") == "users/nobody":
            raise Unauthenticated("TOKEN_MISSING", "log in")
        caller = await super().identify(metadata, peer)
        return replace(caller, expires=self.expires)

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        if "secret" in getattr(request, "name", ""):
            raise Denied("NOT_GRANTED", f"{caller.principal.id} holds no role")
        return await super().authorize(caller, method, request, metadata)


class Slow(ToyServicer):
    """Waits with the work on a toy until it is let go, and counts what was begun and what was cancelled."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = self.cancelled = 0

    async def Add(self, request: Any, context: Any) -> Any:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if request.reason == "break":
            raise ConnectionResetError("a bug")
        return await super().Add(request, context)


class Toys:
    def __init__(self, live: Live, servicer: Slow, keeper: Doorkeeper) -> None:
        self.live, self.servicer, self.keeper = live, servicer, keeper

    async def make(self, *toys: str) -> None:
        stub: Any = self.live.channel.unary_unary(f"{PATH}/MakeToy")
        for toy in toys:
            request = M.MakeToyRequest(parent="projects/p", toy_id=toy)
            await stub(request.SerializeToString(), timeout=10)

    def many(self, requests: Iterable[bytes] | AsyncIterator[bytes], metadata: Any = ADA, timeout: Any = 20) -> Any:
        stub: Any = self.live.channel.stream_stream(
            f"{PATH}/AddMany", response_deserializer=M.AddManyResponse.FromString
        )
        return stub(requests, timeout=timeout, metadata=metadata)

    async def up(self, requests: Iterable[bytes], metadata: Any = ADA) -> Any:
        stub: Any = self.live.channel.stream_unary(f"{PATH}/AddUp", response_deserializer=M.AddUpResponse.FromString)
        return await stub(requests, timeout=20, metadata=metadata)

    async def total(self, name: str) -> int:
        await self.live.rooms.resources.catch_up()
        stub: Any = self.live.channel.unary_unary(f"{PATH}/GetToy", response_deserializer=M.Toy.FromString)
        return int((await stub(M.GetToyRequest(name=name).SerializeToString(), timeout=10)).total)


@pytest.fixture
async def toys(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Toys]:
    made: list[Slow] = []
    keeper = Doorkeeper()

    def doors(rooms: Rooms) -> Any:
        made.append(Slow(rooms))
        return [(SERVICE, made[0])]

    guarded = replace(TOYS, authority=lambda _: keeper, doors=doors)
    settings = {"identity": "roles", "streams_at_once": 2}
    async with service(guarded, nats, postgres, tmp_path, schema=schema, **settings) as live:
        toys = Toys(live, made[0], keeper)
        await toys.make("ball", "cube")
        yield toys


def adding(name: str, amount: int = 1, **fields: Any) -> bytes:
    return bytes(M.AddRequest(name=name, amount=amount, **fields).SerializeToString())


async def refused(call: Any) -> tuple[str, str]:
    """What ends the call, with whatever was not yet read left aside."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await drained(call)
    return caught.value.code().name, details(caught.value)[0]


async def drained(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def eventually(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_message_is_answered_in_order_and_those_of_one_turn_one_after_the_other(toys: Toys) -> None:
    requests = [adding((BALL, CUBE)[n % 2], request_id=f"r{n}") for n in range(200)]
    replies = [reply async for reply in toys.many(requests)]
    assert [reply.name for reply in replies] == [(BALL, CUBE)[n % 2] for n in range(200)]
    for name in (BALL, CUBE):
        revisions = [reply.revision for reply in replies if reply.name == name]
        assert revisions == sorted(set(revisions))
    assert [reply async for reply in toys.many(requests)] == replies
    assert (await toys.total(BALL), await toys.total(CUBE)) == (100, 100)


async def test_a_message_that_is_refused_leaves_the_others_alone(toys: Toys, nats: NatsServer) -> None:
    requests = [
        adding(BALL), b"\xff\xff", adding("projects/p/secret"), adding("projects/p/toys/none"), adding(BALL, 2000),
        adding(BALL, reason="\x00"), b"\x00" * 300_000, adding(BALL),
    ]  # fmt: skip
    replies = [reply async for reply in toys.many(requests)]
    assert [reply.refusal.reason for reply in replies] == [
        "", "REQUEST_MALFORMED", "NOT_GRANTED", "TOY_NOT_FOUND", "TOY_FULL", "INVALID_REQUEST", "REQUEST_TOO_LARGE", "",
    ]  # fmt: skip
    assert [(one.field, one.reason) for one in replies[5].refusal.violations] == [("reason", "CONTROL_CHARACTER")]
    assert await toys.total(BALL) == 2
    (record,) = await recorded.records(nats)
    assert (record.reason, list(record.resources), record.principal.id) == (
        "NOT_GRANTED",
        ["projects/p/secret"],
        "users/ada",
    )


async def test_one_answer_for_all_and_the_first_refusal_ends_it(toys: Toys, nats: NatsServer) -> None:
    assert (await toys.up([adding(BALL, 2), adding(CUBE, 3)])).total == 5
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await toys.up([adding(BALL), adding("projects/p/secret"), adding(BALL)])
    assert (caught.value.code().name, details(caught.value)[0]) == ("PERMISSION_DENIED", "NOT_GRANTED")
    assert await toys.total(BALL) == 3
    assert [list(one.resources) for one in await recorded.records(nats)] == [["projects/p/secret"]]
    assert (await toys.up([])).total == 0


async def test_nothing_is_taken_in_of_strangers_and_only_so_many_streams_of_one(toys: Toys) -> None:
    assert await refused(toys.many([adding(BALL)], actor("users/nobody"))) == ("UNAUTHENTICATED", "TOKEN_MISSING")
    never = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield adding(BALL)
        await never.wait()

    open_ones = [toys.many(waiting()) for _ in range(2)]
    for call in open_ones:
        assert (await call.read()).name == BALL
    assert (await refused(toys.many([adding(BALL)])))[1] == "TOO_MANY_STREAMS"
    for call in open_ones:
        call.cancel()

    async with asyncio.timeout(20):
        while True:
            try:
                assert [reply.name async for reply in toys.many([adding(BALL)])] == [BALL]
                break
            except grpc.aio.AioRpcError:  # The places come back when the service has noticed.
                await asyncio.sleep(0.02)


async def test_whoever_sends_too_much_waits_and_a_cancelled_call_ends_its_work(toys: Toys) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(5000):
            sent += 1
            yield adding(f"projects/p/toys/t{sent}", reason="x" * 1000)

    toys.servicer.gate.clear()
    call = toys.many(flood())
    await eventually(lambda: toys.servicer.begun >= incoming._AT_ONCE)
    await asyncio.sleep(0.3)  # Nothing more may come however long one waits; what does come would come at once.
    assert toys.servicer.begun <= incoming._AT_ONCE + 2
    assert sent < 5000
    call.cancel()
    await eventually(lambda: toys.servicer.cancelled == toys.servicer.begun)


async def test_what_fails_ends_the_call_and_nothing_overtakes_it(toys: Toys) -> None:
    requests = [adding(CUBE), adding(BALL), adding(BALL, reason="break"), *(adding(BALL) for _ in range(20))]
    sent = asyncio.Event()

    async def sending() -> AsyncIterator[bytes]:
        for one in requests:
            yield one
        sent.set()

    # All is sent before anything is answered: whoever still sends does not learn why a call ended.
    toys.servicer.gate.clear()
    call = toys.many(sending())
    await asyncio.wait_for(sent.wait(), 10)
    toys.servicer.gate.set()
    names = [(await call.read()).name for _ in range(2)]
    assert names == [CUBE, BALL]
    assert (await refused(call))[0] == "UNAVAILABLE"
    assert await toys.total(BALL) == 1


async def test_a_call_has_an_end(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "MOST_MESSAGES", 3)
    call = toys.many([adding(BALL) for _ in range(5)])
    assert [(await call.read()).name for _ in range(3)] == [BALL] * 3
    assert await refused(call) == ("RESOURCE_EXHAUSTED", "STREAM_TOO_LONG")
    monkeypatch.setattr(incoming, "IDLE_SECONDS", 0.1)
    never = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    assert await refused(toys.many(silent())) == ("DEADLINE_EXCEEDED", "STREAM_IDLE")
    toys.servicer.gate.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await drained(toys.many([adding(BALL)], timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    toys.keeper.expires = datetime.now(UTC) - timedelta(seconds=LEEWAY_SECONDS - 0.3)
    assert await refused(toys.many([adding(BALL)])) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")


async def test_messages_count_as_calls_and_wait_instead_of_being_refused(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    rates = {"calls_per_second": 40.0, "calls_burst": 5.0}
    async with service(TOYS, nats, postgres, tmp_path, schema=schema, **rates) as live:
        stub: Any = live.channel.stream_stream(f"{PATH}/AddMany", response_deserializer=M.AddManyResponse.FromString)
        began = asyncio.get_running_loop().time()
        replies = [reply async for reply in stub([adding(BALL)] * 25, timeout=20, metadata=ADA)]
        assert [reply.refusal.reason for reply in replies] == ["TOY_NOT_FOUND"] * 25
        assert asyncio.get_running_loop().time() - began >= 0.45
