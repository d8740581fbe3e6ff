"""One moment as all services understand it: the revision of a time, and the time of a revision."""

from kernel.errors import NotFound
from kernel.resources import moment_of
from kernel.rpc import Context
from modelog.archive.v1 import moments_pb2 as rpc
from services.archive.reading import fact_in
from services.archive.servicer.room import Room


class Moments(Room):
    async def LocateMoment(self, request: rpc.LocateMomentRequest, context: Context) -> rpc.LocateMomentResponse:
        read = request.read
        if read.as_of_revision > await self._resources.catch_up():
            raise NotFound("REVISION_NOT_FOUND", f"the log ends before revision {read.as_of_revision}")
        await self._resources.settle(read)
        revision = read.as_of_revision
        if not revision:
            by_time = read.HasField("as_of_time")
            revision = await self._copy.last_until(moment_of(read)) if by_time else await self._copy.size()
        reply = rpc.LocateMomentResponse(revision=revision)
        for stored in await self._copy.at([revision]):
            if fact := fact_in(stored.payload, stored.subject):
                reply.record_time.CopyFrom(fact.recorded_at)
        return reply
