"""How a service is doing: position, head, quarantine, drift of the log's configuration; and who it takes a caller for.

The same for every service.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kernel.comparing import PUT_OFF, Comparing
from kernel.errors import Unavailable
from kernel.identity import Caller
from kernel.log import Log
from kernel.position import Position
from kernel.postgres import Pool
from modelog.status.v1 import comparisons_pb2 as comparisons
from modelog.status.v1 import status_service_pb2 as rpc

_MOST = 500
_PROGRESS_SECONDS = 1.0


class StatusServicer:
    def __init__(
        self,
        service: str,
        pool: Pool,
        log: Log,
        position: Position,
        started: datetime,
        drift: Callable[[], Sequence[str]],
        comparing: Comparing,
    ) -> None:
        self._service = service
        self._pool = pool
        self._log = log
        self._position = position
        self._started = started
        self._drift = drift
        self._comparing = comparing

    async def GetStatus(self, _request: rpc.GetStatusRequest, _context: Any) -> rpc.GetStatusResponse:
        head = await self._log.head()
        rows = await self._pool.fetch("select name, revision, reason from quarantine order by revision limit $1", _MOST)
        reply = rpc.GetStatusResponse(
            service=self._service,
            version=_version(),
            position=self._position.revision,
            head=head,
            halted=self._position.halted,
            drift=self._drift(),
        )
        reply.start_time.FromDatetime(self._started)
        for row in rows:
            reply.quarantined.add(name=row["name"], revision=row["revision"], reason=row["reason"])
        comparison = await self._comparing.last()
        if comparison.HasField("end_time"):
            comparison.ClearField("findings")
            reply.comparison.CopyFrom(comparison)
        return reply

    async def CompareViews(
        self, request: comparisons.CompareViewsRequest, _context: Any
    ) -> AsyncIterator[comparisons.CompareViewsResponse]:
        if request.last:
            yield comparisons.CompareViewsResponse(done=True, comparison=await self._comparing.last())
            return
        task = asyncio.create_task(self._comparing.once())
        try:
            while not (await asyncio.wait({task}, timeout=_PROGRESS_SECONDS))[0]:
                yield comparisons.CompareViewsResponse(revision=self._comparing.at)
            result = task.result()
        except PUT_OFF as error:
            raise Unavailable("VIEWS_CHANGING", f"nothing could be compared now, ask again: {error}") from error
        finally:
            task.cancel()
        yield comparisons.CompareViewsResponse(done=True, revision=result.revision, comparison=result)

    async def WhoAmI(self, _request: rpc.WhoAmIRequest, context: Any) -> rpc.WhoAmIResponse:
        caller: Caller = context.caller
        reply = rpc.WhoAmIResponse(principal=caller.principal, on_behalf_of=caller.on_behalf_of)
        if caller.expires is not None:
            reply.expire_time.FromDatetime(caller.expires)
        return reply


def _version() -> str:
    try:
        return version("modelog")
    except PackageNotFoundError:
        return "unknown"
