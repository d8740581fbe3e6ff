"""Bad credentials at the doors of all four services: refused for their reason, recorded once, and nothing else."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import nats
import pytest

from modelog.access.v1.types_pb2 import VERDICT_REFUSED, AccessRecord
from modelog.sdk.errors import refused
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, log_server, service
from tests.access.forge import Forge, Metadata, bearer
from tests.access.wrong_credentials import WRONG

pytestmark = pytest.mark.timeout(300)
# Of each service: a read, a write, and a method that streams where it has one.
METHODS = {
    "registry": ("GetProject", "CreateProject"),
    "deployment": ("GetEndpoint", "CreateEndpoint"),
    "monitoring": ("GetMonitor", "CreateMonitor"),
    "archive": ("GetRecord", "PlaceHold", "ReadFacts"),
}
STREAMS = frozenset({"ReadFacts"})
_AT_ONCE = asyncio.Semaphore(100)  # A connection takes 200.


@dataclass(frozen=True)
class Town:
    forge: Forge
    nats: NatsServer
    services: dict[str, Live]

    def path(self, name: str, method: str) -> str:
        return f"modelog.{name}.v1.{name.capitalize()}Service/{method}"

    async def ask(self, name: str, method: str, metadata: Metadata) -> grpc.aio.AioRpcError:
        """The refusal of a call with an empty request."""
        channel, path = self.services[name].channel, f"/{self.path(name, method)}"
        call: Any = channel.unary_stream(path) if method in STREAMS else channel.unary_unary(path)
        async with _AT_ONCE:
            answer = call(b"", metadata=metadata, timeout=30)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await (answer.read() if method in STREAMS else answer)
        return failed.value

    async def stream(self, name: str) -> Any:
        """State of a stream, and its records."""
        client = await nats.connect(self.nats.url)
        try:
            context = client.jetstream()
            state = (await context.stream_info(name)).state
            found = [await context.get_msg(name, seq) for seq in range(1, state.messages + 1)]
            return state.messages, [(one.subject, one.data or b"") for one in found]
        finally:
            await client.close()


@pytest.fixture(scope="module")
async def town(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    forge = Forge(folder / "forge")
    async with log_server(folder) as server, AsyncExitStack() as stack:
        services = {}
        for name in METHODS:
            blueprint = importlib.import_module(f"services.{name}.__main__").BLUEPRINT
            one = service(
                blueprint, server, postgres, folder, schema=f"doors_{name}", roles="rpc,projector", **forge.settings()
            )
            services[name] = await stack.enter_async_context(one)
        yield Town(forge, server, services)


@pytest.mark.parametrize("name", METHODS)
async def test_whoever_proves_nothing_is_refused_recorded_once_and_changes_nothing(
    town: Town, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    facts, before = (await town.stream("LIFECYCLE"))[0], (await town.stream("ACCESS"))[0]
    calls = [
        (method, kind, reason, make(town.forge)) for kind, (reason, make) in WRONG.items() for method in METHODS[name]
    ]
    errors = await asyncio.gather(*(town.ask(name, method, metadata) for method, _, _, metadata in calls))
    for (method, kind, reason, _), error in zip(calls, errors, strict=True):
        told = (error.code(), refused(error).reason)
        assert told == (grpc.StatusCode.UNAUTHENTICATED, reason), f"{method} with {kind}: {error.details()}"
    assert (await town.stream("LIFECYCLE"))[0] == facts
    _, messages = await town.stream("ACCESS")
    records = [(subject, AccessRecord.FromString(payload)) for subject, payload in messages[before:]]
    assert len(records) == len(calls)
    assert {subject for subject, _ in records} == {f"access.{name}"}
    recorded = sorted((record.method, record.reason) for _, record in records)
    assert recorded == sorted((town.path(name, method), reason) for method, _, reason, _ in calls)
    assert all(record.verdict == VERDICT_REFUSED and record.client_address for _, record in records)
    assert not any(record.HasField("principal") for _, record in records)
    printed = "".join(capfd.readouterr()) + "".join(str(record) for _, record in records)
    assert not [part for _, _, _, metadata in calls for part in secrets_of(metadata) if part in printed]


async def test_a_token_too_long_for_the_transport_ends_there(town: Town) -> None:
    """Before the door, so nobody records it: whoever sends 64 KiB of headers cannot fill the record either."""
    facts = await town.stream("LIFECYCLE")
    for name in METHODS:
        error = await town.ask(name, METHODS[name][0], bearer("x" * 65_536))
        assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    assert await town.stream("LIFECYCLE") == facts


def secrets_of(metadata: Metadata) -> list[str]:
    """Parts of tokens long enough not to stand elsewhere by chance. Headers are the same in all tokens, and public."""
    return [
        part
        for key, value in metadata
        if key == "authorization"
        for part in value.removeprefix("Bearer ").split(".")[1:]
        if len(part) > 16
    ]
