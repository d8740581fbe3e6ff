"""Services of a few methods, in this process, that remember what they were asked and fail as they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory

from kernel import errors
from kernel.status import grpc_code, trailers
from modelog.archive.v1 import archive_service_pb2 as archive_rpc
from modelog.archive.v1.types_pb2 import LogEntry
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.imports_pb2 import RegisterVersionsResponse
from modelog.status.v1 import status_service_pb2 as status_rpc
from modelog.type.v1.refusal_pb2 import Refusal

Context = Any


async def refuse(context: Context, refusal: errors.Refusal) -> None:
    """As the kernel's door does it."""
    await context.abort(grpc_code(refusal), refusal.message, trailers(refusal))


class FakeRegistry:
    """Three methods. The next calls are refused with `failures`, in this order; each waits `delay_seconds` first."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.calls: list[list[str]] = []
        self.breaks: list[int] = []
        self.metadata: list[dict[str, str]] = []
        self.failures: list[errors.Refusal] = []
        self.delay_seconds = 0.0
        self.revision = 0
        self.head = 0
        self.address = ""  # Where it serves, for whoever wants to say it with the fake.

    async def CreateProject(self, request: rpc.CreateProjectRequest, context: Context) -> rpc.CreateProjectResponse:
        await self._enter(request, context)
        self.revision += 1
        return rpc.CreateProjectResponse(name=f"projects/{request.project_id}", revision=self.revision)

    async def GetProject(self, request: rpc.GetProjectRequest, context: Context) -> types.Project:
        await self._enter(request, context)
        return types.Project(name=request.name, revision=1)

    async def ListProjects(self, request: rpc.ListProjectsRequest, context: Context) -> rpc.ListProjectsResponse:
        """Five projects, two a page at most."""
        await self._enter(request, context)
        first = int(request.page_token or 0)
        size = min(request.page_size, 2)
        projects = [types.Project(name=f"projects/p{n}") for n in range(first, min(first + size, 5))]
        return rpc.ListProjectsResponse(
            projects=projects, next_page_token=str(first + size) if first + size < 5 else ""
        )

    async def RegisterVersions(self, requests: Any, context: Context) -> AsyncIterator[RegisterVersionsResponse]:
        """Versions of no model, refused when their framework says `no`; each call breaks after `breaks[0]` answers."""
        self.calls.append([])
        self.metadata.append(dict(context.invocation_metadata() or ()))
        most = self.breaks.pop(0) if self.breaks else None
        async for request in requests:
            if most is not None and len(self.calls[-1]) >= most:
                await refuse(context, self.failures.pop(0))
            self.calls[-1].append(request.request_id)
            if request.framework == "no":
                no = Refusal(code="NOT_FOUND", reason="MODEL_NOT_FOUND", message="create it first")
                yield RegisterVersionsResponse(request_id=request.request_id, refusal=no)
            else:
                self.revision += 1
                name = f"{request.parent}/versions/{request.framework}"
                yield RegisterVersionsResponse(name=name, revision=self.revision, request_id=request.request_id)

    async def GetStatus(self, _request: status_rpc.GetStatusRequest, _context: Context) -> status_rpc.GetStatusResponse:
        return status_rpc.GetStatusResponse(service="registry", head=self.head)

    async def _enter(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        await asyncio.sleep(self.delay_seconds)
        if self.failures:
            await refuse(context, self.failures.pop(0))


Plan = Callable[[archive_rpc.ReadFactsRequest, Context], AsyncIterator[archive_rpc.ReadFactsResponse]]


class FakeArchive:
    """Each call of ReadFacts plays the next of `plans`, the last one over and over."""

    def __init__(self, *plans: Plan) -> None:
        self.plans = list(plans)
        self.requests: list[archive_rpc.ReadFactsRequest] = []

    async def ReadFacts(
        self, request: archive_rpc.ReadFactsRequest, context: Context
    ) -> AsyncIterator[archive_rpc.ReadFactsResponse]:
        self.requests.append(request)
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        async for reply in plan(request, context):
            yield reply


def batch(*revisions: int, position: int = 0, head: int = 0) -> archive_rpc.ReadFactsResponse:
    """A reply with these entries."""
    entries = [entry(revision) for revision in revisions]
    position = position or max(revisions, default=0)
    return archive_rpc.ReadFactsResponse(entries=entries, position=position, head=max(head, position))


def entry(revision: int) -> LogEntry:
    fact = Fact(id=f"id{revision}", resource="projects/risk", generation=revision)
    fact.event.Pack(facts.ProjectCreated(title=f"title {revision}"))
    return LogEntry(revision=revision, subject="lifecycle.registry.risk", payload=fact.SerializeToString())


_WAYS = ("unary", "stream")


def handler(service: str, module: Any, servicer: object) -> grpc.GenericRpcHandler:
    """The methods that the servicer has; the others are UNIMPLEMENTED."""
    handlers: dict[str, Any] = {}
    for method in module.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods:
        behavior = getattr(servicer, method.name, None)
        if behavior is not None:
            shape = f"{_WAYS[method.client_streaming]}_{_WAYS[method.server_streaming]}"
            make = getattr(grpc, f"{shape}_rpc_method_handler")
            request = message_factory.GetMessageClass(method.input_type)
            handlers[method.name] = make(behavior, request.FromString, lambda reply: reply.SerializeToString())
    return grpc.method_handlers_generic_handler(service, handlers)


@asynccontextmanager
async def serving(
    *, registry: FakeRegistry | None = None, archive: FakeArchive | None = None, port: int = 0
) -> AsyncIterator[str]:
    """The fakes on one address."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        [
            handler("modelog.registry.v1.RegistryService", rpc, registry),
            handler("modelog.status.v1.StatusService", status_rpc, registry),
            handler("modelog.archive.v1.ArchiveService", archive_rpc, archive),
        ]
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(None)
