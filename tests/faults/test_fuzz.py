"""Odd messages for every method of every service: answered within a second, never by a failure of the service's own."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest
from google.protobuf.descriptor import MethodDescriptor

from modelog.archive.v1 import archive_service_pb2
from modelog.deployment.v1 import deployment_service_pb2
from modelog.monitoring.v1 import monitoring_service_pb2
from modelog.registry.v1 import registry_service_pb2 as registry_rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from modelog.status.v1 import status_service_pb2
from suite.suite import Suite
from tests.faults.oddities import Oddities
from tests.registry.build import artifact

SEED = 20260301
DESCRIPTORS = {
    "registry": registry_rpc.DESCRIPTOR,
    "deployment": deployment_service_pb2.DESCRIPTOR,
    "monitoring": monitoring_service_pb2.DESCRIPTOR,
    "archive": archive_service_pb2.DESCRIPTOR,
}
# What a service answers when something in it broke.
BROKEN = ("INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DATA_LOSS", "UNAVAILABLE")
_AT_ONCE = 8
# A call may wait for a revision that is far away, as it asked to: that is ended by its deadline, and counted.
_DEADLINE_SECONDS = 1.0
_LATE_SECONDS = 2.0  # The machine is shared; a hang is longer than this.
_MOST_BYTES = 80 << 20  # Of what grows once: code that is loaded at first use, and buffers of the longest messages.
UNLIMITED = {"calls_per_second": "0", "log_level": "warning"}


@pytest.fixture(scope="module")
async def suite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    async with Suite(tmp_path_factory.mktemp("fuzz"), settings=UNLIMITED) as running:
        async with grpc.aio.insecure_channel(running.address("registry")) as channel:
            stub: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)
            await stub.CreateProject(registry_rpc.CreateProjectRequest(project_id="risk"), timeout=10)
            await stub.CreateModel(
                registry_rpc.CreateModelRequest(parent="projects/risk", model_id="fraud"), timeout=10
            )
            request = registry_rpc.RegisterVersionRequest(
                parent="projects/risk/models/fraud", artifact=artifact(), framework="none"
            )
            await stub.RegisterVersion(request, timeout=10)
        yield running


def methods(service: str) -> Sequence[MethodDescriptor]:
    files = (DESCRIPTORS[service], status_service_pb2.DESCRIPTOR)
    return [method for file in files for one in file.services_by_name.values() for method in one.methods]


class Fuzz:
    """The answers of one service: how often each code, and what must not have been."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.codes: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def send(self, method: MethodDescriptor, raw: bytes, note: str) -> None:
        path = f"/{method.containing_service.full_name}/{method.name}"
        began = time.monotonic()
        try:
            if method.client_streaming:
                both: Any = self._channel.stream_stream(path)
                stream = both([raw], timeout=_DEADLINE_SECONDS)
                await stream.read()
                stream.cancel()
            elif method.server_streaming:
                streamed: Any = self._channel.unary_stream(path)
                stream = streamed(raw, timeout=_DEADLINE_SECONDS)
                await stream.read()
                stream.cancel()
            else:
                unary: Any = self._channel.unary_unary(path)
                await unary(raw, timeout=_DEADLINE_SECONDS)
            code, said = "OK", ""
        except grpc.aio.AioRpcError as error:
            code, said = error.code().name, str(error.details())
        self.codes[code] += 1
        seconds = time.monotonic() - began
        if code in BROKEN or seconds > _DEADLINE_SECONDS + _LATE_SECONDS:
            self.wrong.append(f"{method.name} {note}: {code} after {seconds:.1f} s, {said[:200]}, {raw[:300]!r}")


async def fuzz(suite: Suite, service: str, count: int) -> Fuzz:
    odd, among = Oddities(SEED), methods(service)
    async with grpc.aio.insecure_channel(suite.address(service)) as channel:
        found = Fuzz(channel)
        huge = [(method, raw) for method in among for raw in odd.huge(method.input_type)]
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                if number < len(huge):
                    method, raw = huge[number]
                else:
                    method = among[number % len(among)]
                    raw = odd.request(method.input_type)
                await found.send(method, raw, f"seed {SEED} number {number}")

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return found


async def withstood(suite: Suite, service: str, count: int) -> None:
    keeper = suite.keeper(service)
    process = psutil.Process(keeper.part.process.pid)
    before = process.memory_info().rss
    found = await fuzz(suite, service, count)
    grown = process.memory_info().rss - before
    print(f"{service}: {dict(found.codes)}, {grown / 2**20:+.0f} MB")
    assert not found.wrong, "\n" + "\n".join(found.wrong[:20])
    assert keeper.restarts == 0
    assert found.codes["INVALID_ARGUMENT"] > count / 10
    assert grown < _MOST_BYTES


@pytest.mark.parametrize("service", DESCRIPTORS)
async def test_a_thousand_odd_messages_break_nothing(suite: Suite, service: str) -> None:
    await withstood(suite, service, 1000)


@pytest.mark.long
@pytest.mark.parametrize("service", DESCRIPTORS)
async def test_twenty_thousand_odd_messages_break_nothing(suite: Suite, service: str) -> None:
    await withstood(suite, service, 20_000)


@pytest.mark.long
def test_the_parser_stands_a_fuzzer_that_looks_for_new_ways_through_it() -> None:
    pytest.importorskip("atheris", reason="NOT PROVED: atheris is not built for every machine; pip install it")
    command = [sys.executable, "-m", "tests.faults.fuzz_parser", "-runs=1000000", "-max_len=4096", f"-seed={SEED}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done 1000000 runs" in done.stderr
