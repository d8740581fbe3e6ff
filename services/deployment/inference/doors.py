"""Both doors of a replica: opened together, drained together."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from services.deployment.drivers.lease import until_lost
from services.deployment.inference.answers import Answers
from services.deployment.inference.memory import until_above
from services.deployment.inference.order import Order
from services.deployment.inference.server import Replica

_BACKLOG = 512
_DRAIN_SECONDS = 10
# Longer than a gateway takes to notice that a replica is not ready (two questions, two seconds apart).
_LEAVE_SECONDS = 6.0
# Longer than the gateway keeps an idle connection, so that it is never the server who closes one under a request.
_KEEP_ALIVE_SECONDS = 90


class Doors:
    """HTTP, and gRPC where the order says so."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._order = order = answers.order
        self._http = uvicorn.Server(
            uvicorn.Config(
                Replica(answers),
                http="httptools",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._rpc = None
        if order.grpc_port >= 0:
            # It costs a replica some megabytes, so those that speak HTTP only do not load it.
            from services.deployment.inference.rpc import RpcServer

            self._rpc = RpcServer(answers)
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> Mapping[str, str]:
        """Listens; where, by door. OSError when a port cannot be had."""
        order = self._order
        listener = socket.create_server((order.host, order.port), backlog=_BACKLOG)
        addresses = {"address": f"{order.host}:{listener.getsockname()[1]}"}
        if self._rpc:
            addresses["grpc_address"] = f"{order.host}:{await self._rpc.start(f'{order.host}:{order.grpc_port}')}"
        self._serving = asyncio.create_task(self._http.serve(sockets=[listener]))
        while not self._http.started and not self._serving.done():
            await asyncio.sleep(0.005)
        return addresses

    async def until_told(self, order: Order) -> str:
        """Returns when it shall end: empty when it was told to or nobody keeps it, or else what is wrong with it."""
        assert self._serving
        ends: set[asyncio.Task[object]] = {asyncio.create_task(self._told())}
        if order.lease_file:
            ends.add(asyncio.create_task(until_lost(Path(order.lease_file), order.lease_seconds)))
        grown = asyncio.create_task(until_above(order.resident_mib)) if order.resident_mib else None
        if grown:
            ends.add(grown)
        await asyncio.wait({*ends, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        return grown.result() if grown and grown.done() and not grown.cancelled() else ""

    async def _told(self) -> None:
        while not self._http.should_exit:
            await asyncio.sleep(0.05)

    async def close(self, *, patiently: bool) -> None:
        """Not ready any more; ends when what is under way is answered. patiently: still answers what a gateway that has

        not noticed sends.
        """
        assert self._serving
        self._answers.ready = False
        if self._rpc:
            await self._rpc.drain()
        if patiently:
            await asyncio.sleep(_LEAVE_SECONDS)
        self._http.should_exit = True
        if self._rpc:
            await self._rpc.stop(_DRAIN_SECONDS)
        await self._serving
