"""Calls of a running archive, and a hand that writes other services' facts into its log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import nats
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from nats.aio.client import Client

from kernel.log import Entry
from kernel.rooms import Blueprint
from modelog.archive.v1 import archive_service_pb2 as rpc
from modelog.archive.v1 import archive_service_pb2_grpc as stubs
from modelog.archive.v1 import types_pb2 as types
from services.archive.__main__ import BLUEPRINT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.archive.stories import Chronicle


class Archive:
    """A running archive with the log it copies. `tell` appends facts as other services would."""

    def __init__(self, live: Live, owner: Client) -> None:
        self.live = live
        self.stub: Any = stubs.ArchiveServiceStub(live.channel)
        self._stream = owner.jetstream()

    async def put(self, subject: str, payload: bytes) -> int:
        """Writes into the log past every guard, as its owner can; returns the revision."""
        return int((await self._stream.publish(subject, payload)).seq)

    async def tell(self, story: Chronicle, start: int = 0) -> int:
        """Appends what stands in the story from `start` on; returns the revision of the last."""
        revision = 0
        for subject, fact in story.facts[start:]:
            revision = await self.put(subject, packed(fact))
        return revision

    async def sealed(self, name: str, wanted: int = types.RECORD_STATE_SEALED) -> types.Record:
        """The record, once it has the wanted state."""
        async with asyncio.timeout(20):
            while True:
                try:
                    record: types.Record = await self.stub.GetRecord(rpc.GetRecordRequest(name=name), timeout=10)
                    if record.state == wanted:
                        return record
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
                await asyncio.sleep(0.05)

    async def signed(self, revision: int) -> types.Checkpoint:
        """The first checkpoint that covers the revision, once there is one."""
        request = rpc.GetCheckpointRequest(covering_revision=revision, wait=True)
        checkpoint: types.Checkpoint = await self.stub.GetCheckpoint(request, timeout=10)
        return checkpoint

    async def vkey(self) -> str:
        notary: types.Notary = await self.stub.GetNotary(rpc.GetNotaryRequest(), timeout=10)
        return notary.keys[0].vkey

    async def exported(self, path: Path, **fields: Any) -> Path:
        """A bundle as a file."""
        with path.open("wb") as file:
            async for reply in self.stub.ExportBundle(rpc.ExportBundleRequest(**fields), timeout=30):
                file.write(reply.chunk)
        return path

    async def entries(self) -> list[Entry]:
        """The copy, as ReadFacts gives it."""
        return [
            Entry(one.revision, one.subject, one.payload)
            async for reply in self.stub.ReadFacts(rpc.ReadFactsRequest(), timeout=30)
            for one in reply.entries
        ]


@asynccontextmanager
async def archive(
    server: NatsServer,
    postgres: PostgresServer,
    folder: Path,
    schema: str,
    *,
    blueprint: Blueprint = BLUEPRINT,
    **settings: Any,
) -> AsyncIterator[Archive]:
    """The key and the checkpoints lie in one folder whatever the schema: a rebuilt archive goes on with them."""
    values = {"data_dir": str(folder / "data"), "sign_pause_seconds": 0.05, **settings}
    owner = await nats.connect(server.url)
    try:
        async with service(blueprint, server, postgres, folder, schema=schema, **values) as live:
            yield Archive(live, owner)
    finally:
        await owner.close()


async def refused(awaitable: Any) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    for one in status.details if status else ():
        one.Unpack(info)
    return caught.value.code(), info.reason


def packed(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
