"""The kernel end to end on a toy service: gRPC, guarded appends on JetStream, views in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kernel.digest import views_digest
from kernel.rooms import Controller, Rooms
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.kernel.toy import TOYS, M

PARENT = "projects/p"
NAME = "projects/p/toys/ball"


def _bytes_of(request: Any) -> bytes:
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


class Toys:
    """Calls of the toy service."""

    def __init__(self, live: Live) -> None:
        self._channel = live.channel

    def __getattr__(self, method: str) -> Any:
        request, reply = getattr(M, f"{method}Request"), {"GetToy": "Toy"}.get(method, f"{method}Response")
        call = self._channel.unary_unary(
            f"/modelog.registry.toy.ToyService/{method}",
            request_serializer=_bytes_of,
            response_deserializer=getattr(M, reply).FromString,
        )

        async def ask(raw: bytes | None = None, **fields: Any) -> Any:
            return await call(request(**fields) if raw is None else raw, timeout=10)

        return ask


@pytest.fixture
async def live(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Live]:
    async with service(TOYS, nats, postgres, tmp_path, schema=schema) as up:
        yield up


@pytest.fixture
def toys(live: Live) -> Toys:
    return Toys(live)


def details(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    """Reason and wrong fields of a refusal."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for one in status.details:
        one.Unpack(info)
        one.Unpack(bad)
    return info.reason, [violation.field for violation in bad.field_violations]


async def refused(awaitable: Any) -> tuple[grpc.StatusCode, str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code(), *details(caught.value)


async def test_a_write_is_read_back_at_its_revision_and_as_of_any_earlier_one(toys: Toys) -> None:
    made = await toys.MakeToy(parent=PARENT, toy_id="ball", label="red")
    assert (made.name, made.revision) == (NAME, 1)
    revisions = [(await toys.Add(name=NAME, amount=amount)).revision for amount in (5, 7)]
    toy = await toys.GetToy(name=NAME, read={"at_least": revisions[-1]})
    assert (toy.name, toy.generation, toy.revision, toy.total, toy.label) == (NAME, 3, 3, 12, "red")
    assert (await toys.GetToy(name=NAME, read={"as_of_revision": revisions[0]})).total == 5
    assert (await toys.GetToy(name=NAME, read={"as_of_time": toy.update_time})).total == 12
    assert (await toys.GetToy(name=NAME, read={"as_of_time": toy.create_time})).total == 0


async def test_a_repeated_request_gets_its_first_answer_and_the_id_serves_no_other(toys: Toys) -> None:
    await toys.MakeToy(parent=PARENT, toy_id="ball", label="red")
    first = await toys.Add(name=NAME, amount=1, request_id="once")
    await toys.Add(name=NAME, amount=2)
    assert (await toys.Add(name=NAME, amount=1, request_id="once")).revision == first.revision
    code, reason, _ = await refused(toys.Add(name=NAME, amount=3, request_id="once"))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (await toys.GetToy(name=NAME, read={"at_least": 3})).total == 3


async def test_refusals_carry_code_reason_and_field(toys: Toys) -> None:
    assert await refused(toys.Add(name=NAME, amount=1)) == (grpc.StatusCode.NOT_FOUND, "TOY_NOT_FOUND", [])
    assert (await refused(toys.GetToy(name=NAME)))[:2] == (grpc.StatusCode.NOT_FOUND, "TOY_NOT_FOUND")
    code, _, fields = await refused(toys.GetToy(name="projects/P/toys/ball"))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["name"])
    code, reason, _ = await refused(toys.GetToy(raw=b"\xff\xff\xff"))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")
    code, _, fields = await refused(toys.GetToy(raw=b"\x9a\x06\x01a"))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["#99"])
    code, reason, _ = await refused(toys.GetToy(raw=b"\x0a\xff\xff\x7f" + b"a" * 300_000))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    code, _, fields = await refused(toys.GetToy(name=NAME, read={"at_least": -1}))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["read.at_least"])
    await toys.MakeToy(parent=PARENT, toy_id="ball")
    assert (await refused(toys.Add(name=NAME, amount=1001)))[1] == "TOY_FULL"
    code, reason, _ = await refused(toys.Add(name=NAME, amount=1, etag="7"))
    assert (code, reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_a_dry_run_and_a_verb_with_nothing_to_do_record_nothing(toys: Toys, live: Live) -> None:
    await toys.MakeToy(parent=PARENT, toy_id="ball")
    assert (await toys.Add(name=NAME, amount=1, validate_only=True)).revision == 0
    assert (await toys.Add(name=NAME, amount=0)).revision == 1
    assert await live.rooms.log.head() == 1


async def test_64_writers_number_the_children_without_gap_or_duplicate(toys: Toys) -> None:
    await toys.MakeToy(parent=PARENT, toy_id="ball")
    parts = await asyncio.gather(*(toys.MakePart(parent=NAME, label=str(n)) for n in range(64)))
    assert sorted(int(part.name.rpartition("/")[2]) for part in parts) == list(range(1, 65))


async def test_two_processes_race_and_neither_overwrites_the_other(
    toys: Toys, live: Live, nats: NatsServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    async with service(TOYS, nats, postgres, tmp_path, schema=live.schema, roles="rpc") as second:
        others = Toys(second)
        await toys.MakeToy(parent=PARENT, toy_id="ball")
        calls = [side.Add(name=NAME, amount=1) for _ in range(30) for side in (toys, others)]
        parts = [side.MakePart(parent=NAME) for _ in range(20) for side in (toys, others)]
        added, made = await asyncio.gather(asyncio.gather(*calls), asyncio.gather(*parts))
        assert len({one.revision for one in added}) == 60
        assert sorted(int(one.name.rpartition("/")[2]) for one in made) == list(range(1, 41))
        newest = max(one.revision for one in added)
        assert (await others.GetToy(name=NAME, read={"at_least": newest})).total == 60


async def test_lists_page_through_everything_once_and_bind_their_tokens(toys: Toys) -> None:
    made = [await toys.MakeToy(parent=PARENT, toy_id=f"t{n}") for n in range(7)]
    at = {"at_least": made[-1].revision}
    names, token = [], ""
    while True:
        page = await toys.ListToys(parent=PARENT, page_size=3, page_token=token, read=at)
        names += [toy.name for toy in page.toys]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"projects/p/toys/t{n}" for n in range(7)]
    early = await toys.ListToys(parent=PARENT, read={"as_of_revision": 2})
    assert [toy.name for toy in early.toys] == names[:2]
    token = (await toys.ListToys(parent=PARENT, page_size=3, read=at)).next_page_token
    code, _, fields = await refused(toys.ListToys(parent="projects/q", page_token=token))
    assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["page_token"])


async def test_waiting_for_a_revision_that_never_comes_ends_at_the_deadline(live: Live) -> None:
    call: Any = live.channel.unary_unary(
        "/modelog.registry.toy.ToyService/GetToy", request_serializer=M.GetToyRequest.SerializeToString
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(M.GetToyRequest(name=NAME, read={"at_least": 99}), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_rebuilt_schema_equals_the_live_one(
    toys: Toys, live: Live, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await toys.MakeToy(parent=PARENT, toy_id="ball")
    for amount in range(1, 30):
        await toys.Add(name=NAME, amount=amount, request_id=f"r{amount}")
    head = await live.rooms.resources.catch_up()
    async with service(TOYS, nats, postgres, tmp_path, schema=f"{schema}_again") as again:
        await again.rooms.resources.wait(head)
        assert await views_digest(again.rooms.pool, again.schema) == await views_digest(live.rooms.pool, live.schema)


async def test_a_controller_sees_nothing_before_the_views_hold_what_the_log_holds(
    toys: Toys, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await toys.MakeToy(parent=PARENT, toy_id="ball")
    head = (await toys.Add(name=NAME, amount=1)).revision
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def controllers(rooms: Rooms) -> list[Controller]:
        async def look() -> None:
            seen.set_result(await rooms.pool.fetchval("select revision from position"))

        return [look]

    looking = replace(TOYS, controllers=controllers)
    async with service(looking, nats, postgres, tmp_path, schema=f"{schema}_again"):
        async with asyncio.timeout(20):
            assert await seen == head
