"""Many versions over broken connections: each answered once, in order, under the id it was first sent with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kernel import errors
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import Denied, NotFound, Registered, Unavailable, connect, connect_sync, registering
from tests.sdk.fakes import FakeRegistry, serving

DOWN = errors.Unavailable("LOG_UNREACHABLE", "the log cannot be reached")
MODEL = "projects/risk/models/fraud"


def requests(count: int, **fields: Any) -> list[rpc.RegisterVersionRequest]:
    return [rpc.RegisterVersionRequest(parent=MODEL, framework=str(n), **fields) for n in range(count)]


async def send(registry: FakeRegistry, kind: str, given: Any, **options: Any) -> tuple[list[Registered], list[int]]:
    """What the versions came to, and what progress was told."""
    told: list[int] = []

    def blocking(address: str) -> list[Registered]:
        with connect_sync(registry=address, actor="users/ada", **options) as client:
            return list(client.register_versions(given, progress=told.append))

    async with serving(registry=registry) as address:
        if kind == "sync":
            return await asyncio.to_thread(blocking, address), told
        async with connect(registry=address, actor="users/ada", **options) as client:
            return [one async for one in client.register_versions(given, progress=told.append)], told


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_was_not_answered_is_sent_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "_MOST_REQUESTS", 10)
    registry = FakeRegistry()
    registry.breaks, registry.failures = [4, 0, 3], [DOWN, DOWN, DOWN]
    given = requests(25)
    answered, told = await send(registry, kind, given)
    assert [one.name for one in answered] == [f"{MODEL}/versions/{n}" for n in range(25)]
    assert told == list(range(1, 26))
    ids = [one.request.request_id for one in answered]
    assert len(set(ids)) == 25
    assert [one.request_id for one in given] == [""] * 25
    assert registry.calls == [ids[:4], [], ids[4:7], ids[7:10], ids[10:20], ids[20:]]
    assert {one["x-modelog-actor"] for one in registry.metadata} == {"users/ada"}


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_refused_version_is_told_and_the_call_goes_on(kind: str) -> None:
    given = requests(3)
    given[1].framework = "no"
    answered, _ = await send(FakeRegistry(), kind, given)
    assert [bool(one.refusal) for one in answered] == [False, True, False]
    refusal = answered[1].refusal
    assert isinstance(refusal, NotFound)
    assert (refusal.reason, refusal.request_id) == ("MODEL_NOT_FOUND", answered[1].request.request_id)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_does_not_pass_and_what_lasts_too_long_is_raised(kind: str) -> None:
    registry = FakeRegistry()
    registry.breaks, registry.failures = [0], [errors.Denied("NOT_GRANTED", "no")]
    with pytest.raises(Denied):
        await send(registry, kind, requests(3))
    registry.breaks, registry.failures = [0] * 50, [DOWN] * 50
    with pytest.raises(Unavailable):
        await send(registry, kind, requests(3), patience_seconds=0.3)


async def test_requests_may_come_as_they_are_made() -> None:
    async def made() -> AsyncIterator[rpc.RegisterVersionRequest]:
        for request in requests(5, request_id=""):
            await asyncio.sleep(0)
            yield request

    answered, _ = await send(FakeRegistry(), "async", made())
    assert len(answered) == 5
    assert (await send(FakeRegistry(), "sync", []))[0] == []
