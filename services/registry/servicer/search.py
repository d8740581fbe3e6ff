"""The door of search: words and filters over what the caller may see."""

from access.matrix import READING
from kernel.errors import invalid_field
from kernel.resources import PAGE_SIZE
from kernel.rpc import Context
from kernel.searching import Found
from modelog.registry.v1.search_pb2 import (
    SEARCH_KIND_MODEL,
    SEARCH_KIND_PROJECT,
    SEARCH_KIND_VERSION,
    SearchRequest,
    SearchResponse,
    SearchResult,
    SnippetPiece,
)
from services.registry.domain import MODEL, PROJECT, VERSION
from services.registry.servicer.room import Room

_KINDS = {SEARCH_KIND_PROJECT: PROJECT, SEARCH_KIND_MODEL: MODEL, SEARCH_KIND_VERSION: VERSION}
_PROJECT_PARTS = 2
# How many times one call looks for more that its caller may see.
_MOST_LOOKS = 16


class Search(Room):
    async def Search(self, request: SearchRequest, context: Context) -> SearchResponse:
        """Goes on until the page is full of what the caller may see, or has looked far enough. A token is made of ranks
        and revisions alone, so that it tells nothing of what the caller may not see."""
        low = await self._within(request.within, context)
        kinds = [_KINDS[one] for one in request.kinds] or [MODEL, VERSION]
        await self._resources.settle(request.read)
        asking = SearchRequest()
        asking.CopyFrom(request)
        wanted, reply = request.page_size or PAGE_SIZE, SearchResponse()
        for _ in range(_MOST_LOOKS):
            asking.page_size = wanted - len(reply.results)
            found, asking.page_token = await self._resources.searches.search(kinds, low, asking)
            for one in found:
                if await context.may(READING[one.kind.pattern.collection], one.name):
                    reply.results.append(_result(one))
            if len(reply.results) == wanted or not asking.page_token:
                break
        reply.next_page_token = asking.page_token
        return reply

    async def _within(self, name: str, context: Context) -> str:
        """Where sort keys of what lies in a place begin. The method is open to everybody, so this is checked here."""
        if not name:
            return "projects/"
        kind = PROJECT if name.count("/") < _PROJECT_PARTS else MODEL
        kind.pattern.ids(name, "within")
        if not await context.may(READING[kind.pattern.collection], name):
            raise invalid_field("within", f"there is no {name}, or you may not read it", "NO_PLACE")
        return f"{name}/"


def _result(found: Found) -> SearchResult:
    result = SearchResult(
        name=found.name,
        rank=found.rank,
        snippet=[SnippetPiece(text=text, matched=matched) for text, matched in found.snippet],
    )
    resource = {PROJECT: result.project, MODEL: result.model, VERSION: result.version}[found.kind]
    resource.ParseFromString(found.body)
    resource.SetInParent()
    return result
