"""The door of projects."""

from functools import partial

from kernel.names import child
from kernel.resources import PAGE_SIZE
from kernel.rpc import Context
from kernel.wire import listing
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.declare_pb2 import UpdateProjectRequest, UpdateProjectResponse
from modelog.registry.v1.types_pb2 import Project
from services.registry.domain import PROJECT, project
from services.registry.servicer.room import Room, actors, everywhere_read

# How many times one call looks for more projects that its caller may see.
_MOST_LOOKS = 16


class Projects(Room):
    async def CreateProject(self, request: rpc.CreateProjectRequest, context: Context) -> rpc.CreateProjectResponse:
        cause, name = context.cause(), child("", "projects", request.project_id)
        verb = partial(
            project.create_project, title=request.title, description=request.description, actors=actors(cause)
        )
        decided = await self._transact(PROJECT, name, cause, verb, reads=everywhere_read(name))
        return rpc.CreateProjectResponse(name=decided.name, revision=decided.revision)

    async def GetProject(self, request: rpc.GetProjectRequest, context: Context) -> bytes:
        return await self._resources.get(PROJECT, request.name, request.read)

    async def ListProjects(self, request: rpc.ListProjectsRequest, context: Context) -> bytes:
        """Goes on until the page is full of what the caller may see, or has looked far enough: a short page has a token
        like any other."""
        asking = rpc.ListProjectsRequest()
        asking.CopyFrom(request)
        wanted, shown = request.page_size or PAGE_SIZE, list[bytes]()
        for _ in range(_MOST_LOOKS):
            asking.page_size = wanted - len(shown)
            bodies, asking.page_token = await self._resources.page_of(PROJECT, "projects/", asking)
            shown += [body for body in bodies if await context.may("registry.projects.get", _name_of(body))]
            if len(shown) == wanted or not asking.page_token:
                break
        return listing(shown, asking.page_token)

    async def UpdateProject(self, request: UpdateProjectRequest, context: Context) -> UpdateProjectResponse:
        verb = partial(
            project.describe_project, title=request.title, description=request.description, mask=request.update_mask
        )
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return UpdateProjectResponse(name=decided.name, revision=decided.revision)

    async def SetLifecycle(self, request: rpc.SetLifecycleRequest, context: Context) -> rpc.SetLifecycleResponse:
        verb = partial(project.set_lifecycle, lifecycle=request.lifecycle)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.SetLifecycleResponse(name=decided.name, revision=decided.revision)

    async def SetPolicy(self, request: rpc.SetPolicyRequest, context: Context) -> rpc.SetPolicyResponse:
        verb = partial(project.set_policy, policy=request.policy)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.SetPolicyResponse(name=decided.name, revision=decided.revision)


def _name_of(body: bytes) -> str:
    return Project.FromString(body).name
