"""The door of roles, of accounts for jobs and of emergencies: who may do what in a project."""

from functools import partial
from typing import Any

from prometheus_client import Counter

from access.fold import same
from kernel.logs import structlog
from kernel.rpc import Context
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import (
    GRANT_STATE_GRANTED,
    GRANT_STATE_PROPOSED,
    GRANT_STATE_UNSPECIFIED,
    GrantState,
    RoleBinding,
)
from services.registry.domain import PROJECT, accounts, emergencies, roles
from services.registry.servicer.room import Room, actors, everywhere_read

# What watches over the installation rings on this; the project's own people see it in `modelog emergencies list`.
DECLARED = Counter("modelog_emergencies_declared_total", "Roles taken without being granted.")
_log = structlog.get_logger()


class Roles(Room):
    async def GrantRole(self, request: rpc.GrantRoleRequest, context: Context) -> rpc.GrantRoleResponse:
        cause = context.cause()
        wanted = RoleBinding(principal=request.principal, role=request.role, model=request.model)
        if request.HasField("expire_time"):
            wanted.expire_time.CopyFrom(request.expire_time)
        verb = partial(roles.grant_role, wanted=wanted, actors=actors(cause), now=cause.now)
        decided = await self._transact(PROJECT, request.name, cause, verb, reads=everywhere_read(request.name))
        after = await self._after(PROJECT, decided)
        return rpc.GrantRoleResponse(name=decided.name, revision=decided.revision, state=_state(after, request))

    async def RevokeRole(self, request: rpc.RevokeRoleRequest, context: Context) -> rpc.RevokeRoleResponse:
        verb = partial(roles.revoke_role, principal=request.principal, role=request.role, model=request.model)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RevokeRoleResponse(name=decided.name, revision=decided.revision)

    async def DefineRole(self, request: rpc.DefineRoleRequest, context: Context) -> rpc.DefineRoleResponse:
        verb = partial(roles.define_role, role=request.role, definition=request.definition)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.DefineRoleResponse(name=decided.name, revision=decided.revision)

    async def RemoveRole(self, request: rpc.RemoveRoleRequest, context: Context) -> rpc.RemoveRoleResponse:
        decided = await self._transact(
            PROJECT, request.name, context.cause(), partial(roles.remove_role, role=request.role)
        )
        return rpc.RemoveRoleResponse(name=decided.name, revision=decided.revision)

    async def RegisterServiceAccount(
        self, request: rpc.RegisterServiceAccountRequest, context: Context
    ) -> rpc.RegisterServiceAccountResponse:
        verb = partial(
            accounts.register_service_account,
            account=request.account,
            owner=request.owner,
            description=request.description,
        )
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RegisterServiceAccountResponse(name=decided.name, revision=decided.revision)

    async def RemoveServiceAccount(
        self, request: rpc.RemoveServiceAccountRequest, context: Context
    ) -> rpc.RemoveServiceAccountResponse:
        verb = partial(accounts.remove_service_account, account=request.account)
        decided = await self._transact(PROJECT, request.name, context.cause(), verb)
        return rpc.RemoveServiceAccountResponse(name=decided.name, revision=decided.revision)

    async def DeclareEmergency(
        self, request: rpc.DeclareEmergencyRequest, context: Context
    ) -> rpc.DeclareEmergencyResponse:
        cause = context.cause()
        verb = partial(
            emergencies.declare_emergency,
            actors=actors(cause),
            role=request.role,
            duration=request.duration.ToTimedelta(),
            reason=cause.reason,
            now=cause.now,
        )
        decided = await self._transact(PROJECT, request.name, cause, verb)
        after = await self._after(PROJECT, decided)
        taken = after.emergencies[-1] if after.emergencies else None
        if decided.recorded and taken is not None:
            DECLARED.inc()
            _log.critical("emergency_declared", project=decided.name, number=taken.number, by=taken.principal)
        return rpc.DeclareEmergencyResponse(
            name=decided.name,
            revision=decided.revision,
            emergency=taken.number if taken else 0,
            expire_time=taken.expire_time if taken else None,
        )

    async def ReviewEmergency(
        self, request: rpc.ReviewEmergencyRequest, context: Context
    ) -> rpc.ReviewEmergencyResponse:
        cause = context.cause()
        verb = partial(
            emergencies.review_emergency,
            actors=actors(cause),
            emergency=request.emergency,
            justified=request.justified,
            comment=request.comment,
        )
        decided = await self._transact(PROJECT, request.name, cause, verb, reads=everywhere_read(request.name))
        return rpc.ReviewEmergencyResponse(name=decided.name, revision=decided.revision)


def _state(after: Any, request: rpc.GrantRoleRequest) -> GrantState:
    """What became of a wish: an extension of a role that is held waits as well."""
    if any(same(one, request.principal, request.role, request.model) for one in after.role_proposals):
        return GRANT_STATE_PROPOSED
    return GRANT_STATE_GRANTED if after.name else GRANT_STATE_UNSPECIFIED
