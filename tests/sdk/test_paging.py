"""Lists as iterators."""

import asyncio

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import connect, connect_sync, pages
from tests.sdk.fakes import FakeRegistry, serving

ALL = [f"projects/p{n}" for n in range(5)]


async def test_all_items_of_all_pages_come_in_order() -> None:
    registry = FakeRegistry()
    request = rpc.ListProjectsRequest()
    async with serving(registry=registry) as address, connect(registry=address) as client:
        assert [item.name async for item in pages(client.registry.ListProjects, request)] == ALL
    assert [asked.page_token for asked in registry.requests] == ["", "2", "4"]
    assert (request.page_size, request.page_token) == (0, "")


async def test_the_blocking_stub_gives_a_plain_iterator_and_keeps_the_page_size() -> None:
    registry = FakeRegistry()

    def listed(address: str) -> list[str]:
        with connect_sync(registry=address) as client:
            request = rpc.ListProjectsRequest(page_size=1)
            return [item.name for item in pages(client.registry.ListProjects, request)]

    async with serving(registry=registry) as address:
        assert await asyncio.to_thread(listed, address) == ALL
    assert [asked.page_size for asked in registry.requests] == [1] * 5


async def test_nothing_more_is_read_than_is_taken() -> None:
    registry = FakeRegistry()
    async with serving(registry=registry) as address, connect(registry=address) as client:
        async for item in pages(client.registry.ListProjects, rpc.ListProjectsRequest()):
            assert item.name == ALL[0]
            break
    assert len(registry.requests) == 1
