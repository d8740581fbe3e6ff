"""The door of projects."""

from functools import partial

from kernel.names import child
from kernel.rpc import Context
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.registry.domain import PROJECT, project
from services.registry.servicer.room import Room


class Projects(Room):
    async def CreateProject(self, request: rpc.CreateProjectRequest, context: Context) -> rpc.CreateProjectResponse:
        verb = partial(project.create_project, title=request.title, description=request.description)
        decided = await self._transact(PROJECT, child("", "projects", request.project_id), context.cause(), verb)
        return rpc.CreateProjectResponse(name=decided.name, revision=decided.revision)

    async def GetProject(self, request: rpc.GetProjectRequest, context: Context) -> bytes:
        return await self._resources.get(PROJECT, request.name, request.read)

    async def ListProjects(self, request: rpc.ListProjectsRequest, context: Context) -> bytes:
        return await self._resources.page(PROJECT, "projects/", request)

    async def SetLifecycle(self, request: rpc.SetLifecycleRequest, context: Context) -> rpc.SetLifecycleResponse:
        verb = partial(project.set_lifecycle, lifecycle=request.lifecycle)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.SetLifecycleResponse(name=decided.name, revision=decided.revision)

    async def SetPolicy(self, request: rpc.SetPolicyRequest, context: Context) -> rpc.SetPolicyResponse:
        verb = partial(project.set_policy, policy=request.policy)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.SetPolicyResponse(name=decided.name, revision=decided.revision)

    async def GrantRole(self, request: rpc.GrantRoleRequest, context: Context) -> rpc.GrantRoleResponse:
        verb = partial(project.grant_role, principal=request.principal, role=request.role)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.GrantRoleResponse(name=decided.name, revision=decided.revision)

    async def RevokeRole(self, request: rpc.RevokeRoleRequest, context: Context) -> rpc.RevokeRoleResponse:
        verb = partial(project.revoke_role, principal=request.principal, role=request.role)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RevokeRoleResponse(name=decided.name, revision=decided.revision)
