"""The door of threads: what people say to each other about models."""

from functools import partial

from kernel.resources import PAGE_SIZE
from kernel.rpc import Context
from kernel.wire import listing
from modelog.registry.v1 import collaboration_service_pb2 as rpc
from modelog.registry.v1.collaboration_pb2 import Thread
from services.registry.collaboration import queries
from services.registry.domain import MODEL, THREAD, VERSION, threads
from services.registry.domain.mentions import mentions
from services.registry.servicer.room import Room, actors, whose

# How many times one call looks for more threads that its filter lets through.
_MOST_LOOKS = 16


class Threads(Room):
    async def OpenThread(self, request: rpc.OpenThreadRequest, context: Context) -> rpc.OpenThreadResponse:
        MODEL.pattern.ids(request.parent, "parent")
        reads = [(MODEL, request.parent)]
        if request.target.name != request.parent:
            VERSION.pattern.ids(request.target.name, "target.name")
            reads.append((VERSION, request.target.name))
        verb = partial(threads.open_thread, target=request.target, title=request.title, body=request.body)
        decided = await self._transact.create_numbered(THREAD, request.parent, context.cause(), verb, reads=reads)
        return rpc.OpenThreadResponse(name=decided.name, revision=decided.revision, mentions=mentions(request.body))

    async def GetThread(self, request: rpc.GetThreadRequest, context: Context) -> bytes:
        return await self._resources.get(THREAD, request.name, request.read)

    async def ListThreads(self, request: rpc.ListThreadsRequest, context: Context) -> bytes:
        """Goes on until the page is full of what the filter lets through, or has looked far enough."""
        MODEL.pattern.ids(request.parent.removesuffix("/-") + "/x" * request.parent.endswith("/-"), "parent")
        asking = rpc.ListThreadsRequest()
        asking.CopyFrom(request)
        wanted, shown = request.page_size or PAGE_SIZE, list[bytes]()
        for _ in range(_MOST_LOOKS):
            asking.page_size = wanted - len(shown)
            bodies, asking.page_token = await self._resources.page_of(THREAD, f"{request.parent}/threads/", asking)
            shown += [body for body in bodies if _matches(body, request)]
            if len(shown) == wanted or not asking.page_token:
                break
        return listing(shown, asking.page_token)

    async def PostComment(self, request: rpc.PostCommentRequest, context: Context) -> rpc.PostCommentResponse:
        verb = partial(threads.post_comment, body=request.body)
        decided = await self._transact(THREAD, request.name, context.cause(), verb)
        after: Thread = await self._after(THREAD, decided)
        number = len(after.comments)
        return rpc.PostCommentResponse(
            name=decided.name, revision=decided.revision, comment=number, mentions=mentions(request.body)
        )

    async def EditComment(self, request: rpc.EditCommentRequest, context: Context) -> rpc.EditCommentResponse:
        cause = context.cause()
        verb = partial(threads.edit_comment, comment=request.comment, body=request.body, actors=actors(cause))
        decided = await self._transact(THREAD, request.name, cause, verb)
        return rpc.EditCommentResponse(name=decided.name, revision=decided.revision, mentions=mentions(request.body))

    async def WithdrawComment(
        self, request: rpc.WithdrawCommentRequest, context: Context
    ) -> rpc.WithdrawCommentResponse:
        cause = context.cause()
        verb = partial(threads.withdraw_comment, comment=request.comment, actors=actors(cause))
        decided = await self._transact(THREAD, request.name, cause, verb)
        return rpc.WithdrawCommentResponse(name=decided.name, revision=decided.revision)

    async def ResolveThread(self, request: rpc.ResolveThreadRequest, context: Context) -> rpc.ResolveThreadResponse:
        decided = await self._transact(THREAD, request.name, context.cause(), threads.resolve_thread)
        return rpc.ResolveThreadResponse(name=decided.name, revision=decided.revision)

    async def ReopenThread(self, request: rpc.ReopenThreadRequest, context: Context) -> rpc.ReopenThreadResponse:
        decided = await self._transact(THREAD, request.name, context.cause(), threads.reopen_thread)
        return rpc.ReopenThreadResponse(name=decided.name, revision=decided.revision)

    async def MarkRead(self, request: rpc.MarkReadRequest, context: Context) -> rpc.MarkReadResponse:
        """What was said after the caller looked stays unread: no more is marked than is there now."""
        await self._resources.catch_up()
        thread = Thread.FromString(await self._resources.get(THREAD, request.name))
        there = len(thread.comments)
        upto = min(request.upto_comment or there, there)
        marked = await queries.mark(self._kept, whose(context.caller), thread.name, upto)
        return rpc.MarkReadResponse(name=thread.name, upto_comment=marked)


def _matches(body: bytes, request: rpc.ListThreadsRequest) -> bool:
    if not (request.target or request.state or request.participant):
        return True
    thread = Thread.FromString(body)
    return (
        request.target in ("", thread.target.name)
        and request.state in (0, thread.state)
        and (not request.participant or request.participant in thread.participants)
    )
