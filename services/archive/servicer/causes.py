"""Why something happened: the facts that led to one, as a tree."""

from kernel.errors import NotFound
from kernel.resources import moment_of
from kernel.rpc import Context
from modelog.archive.v1 import evidence_requests_pb2 as rpc
from modelog.archive.v1 import types_pb2 as types
from services.archive.causes import Known, Link, links_of
from services.archive.queries import HistoryQuery, Stored
from services.archive.reading import fact_in
from services.archive.servicer.history import entry_of
from services.archive.servicer.room import Room

_DEPTH = 12
_MOST_NODES = 500


class Causes(Room):
    async def ExplainFact(self, request: rpc.ExplainFactRequest, context: Context) -> rpc.ExplainFactResponse:
        await self._resources.settle(request.read)
        await self._resources.wait(request.revision)
        root = await self._asked(request)
        reply = rpc.ExplainFactResponse()
        reply.nodes.add(entry=entry_of(root), parent=-1)
        seen, level = {root.revision: 0}, [root]
        for _ in range(request.depth or _DEPTH):
            level = await self._further(level, seen, reply)
            if not level or reply.truncated:
                return reply
        reply.truncated = bool(level)
        return reply

    async def _asked(self, request: rpc.ExplainFactRequest) -> Stored:
        bounds = [one for one in (request.revision, request.read.as_of_revision) if one]
        query = HistoryQuery(
            request.name,
            False,
            types.FactFilter(),
            from_revision=request.revision,
            to_revision=min(bounds, default=0),
            until=moment_of(request.read) if request.read.HasField("as_of_time") else None,
            descending=True,
        )
        found = await self._copy.history(query, 0, 1)
        if not found:
            raise NotFound("FACT_NOT_FOUND", f"no such fact of {request.name}; `history` names those that are there")
        return found[0]

    async def _further(self, level: list[Stored], seen: dict[int, int], reply: rpc.ExplainFactResponse) -> list[Stored]:
        """The facts one step behind these that are not in the tree yet; they are put into it."""
        links = [link for one in level for link in links_of(one.revision, fact_in(one.payload, one.subject))]
        known = await self._found(links)
        following: list[Stored] = []
        for link in links:
            for one in known.of(link):
                if one.revision in seen or not _same_project(one, level[0]):
                    continue
                if len(reply.nodes) >= _MOST_NODES:
                    reply.truncated = True
                    return []
                seen[one.revision] = len(reply.nodes)
                reply.nodes.add(entry=entry_of(one), kind=link.kind, parent=seen[link.revision], by=link.resource)
                following.append(one)
        return following

    async def _found(self, links: list[Link]) -> Known:
        """Everything that these links may lead to, in three queries."""
        correlations = sorted({link.correlation for link in links if link.correlation})
        pairs = sorted({(link.resource, link.before) for link in links if link.resource})
        return Known(
            await self._copy.of_correlations(correlations, 10 * _MOST_NODES),
            await self._copy.last_before(pairs),
        )


def _same_project(one: Stored, other: Stored) -> bool:
    return one.subject.split(".")[2] == other.subject.split(".")[2]
