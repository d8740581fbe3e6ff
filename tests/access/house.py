"""All four services behind doors that ask for roles, in one process, over one log."""

import dataclasses
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import nats as nats_py
from google.protobuf import message_factory
from protovalidate import Validator

from access.authority import authority
from access.fold import KNOWN_PROJECT
from kernel.identity import SEEN, Method
from kernel.rooms import Blueprint
from modelog.access.v1.types_pb2 import AccessRecord
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.archive.__main__ import BLUEPRINT as ARCHIVE
from services.deployment.__main__ import BLUEPRINT as DEPLOYMENT
from services.monitoring.__main__ import BLUEPRINT as MONITORING
from services.registry.__main__ import BLUEPRINT as REGISTRY
from services.registry.domain import PROJECT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from tests.access.grounds import Believing
from tests.access.methods import methods, request_of

MINA, OTTO = "users/mina", "users/otto"
BLUEPRINTS: Sequence[tuple[Blueprint, Any]] = (
    (REGISTRY, PROJECT),
    (DEPLOYMENT, KNOWN_PROJECT),
    (MONITORING, KNOWN_PROJECT),
    (ARCHIVE, KNOWN_PROJECT),
)
METHODS = {method.path.rpartition("/")[2]: method for method in methods() if "StatusService" not in method.path}
_validator = Validator()
_numbers = itertools.count(1)


class OneRefused(grpc.RpcError):
    """What a call of one request would have been refused with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self._code = grpc.StatusCode[code]

    def code(self) -> grpc.StatusCode:
        return self._code


@dataclass
class House:
    nats: NatsServer
    services: dict[str, Live]

    async def call(self, method: Method, request: Any, *, by: str, seen: int = 0) -> Any:
        """The reply (the first one of a stream), or the grpc error."""
        asked = method.permission.partition(".")[0]
        channel = self.services["archive" if asked == "state" else asked].channel  # Every service answers that one.
        metadata = (("x-modelog-actor", by), *(((SEEN, str(seen)),) if seen else ()))
        taking, giving = method.descriptor.client_streaming, method.descriptor.server_streaming
        kind = getattr(channel, f"{'stream' if taking else 'unary'}_{'stream' if giving else 'unary'}")
        made: Any = kind(
            f"/{method.path}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.descriptor.output_type).FromString,
        )
        try:
            call = made([request] if taking else request, metadata=metadata, timeout=10)
            if not giving:
                return await call
            async for reply in call:
                call.cancel()
                return OneRefused(reply.refusal.code) if taking and reply.HasField("refusal") else reply
        except grpc.aio.AioRpcError as error:
            return error
        return None

    async def grant(self, project: str, principal: str, role: str) -> int:
        """As two administrators do it, where one is not enough; the revision from which on it holds."""
        request = rpc.GrantRoleRequest(name=project, principal=principal, role=role)
        replies = [await self.call(METHODS["GrantRole"], request, by=by) for by in (MINA, OTTO)]
        return max(int(reply.revision) for reply in replies)

    async def revoke(self, project: str, principal: str, role: str) -> int:
        request = rpc.RevokeRoleRequest(name=project, principal=principal, role=role)
        return int((await self.call(METHODS["RevokeRole"], request, by=MINA)).revision)

    async def create(self, project_id: str) -> int:
        request = rpc.CreateProjectRequest(project_id=project_id)
        return int((await self.call(METHODS["CreateProject"], request, by=MINA)).revision)

    async def caught_up(self) -> None:
        for live in self.services.values():
            await live.rooms.resources.catch_up()

    async def records(self) -> list[AccessRecord]:
        """Everything in the stream ACCESS."""
        client = await nats_py.connect(self.nats.url)
        try:
            stream = client.jetstream()
            last = (await stream.stream_info("ACCESS")).state.last_seq
            found = [await stream.get_msg("ACCESS", one) for one in range(1, last + 1)]
        finally:
            await client.close()
        return [AccessRecord.FromString(one.data or b"") for one in found]

    async def length(self) -> int:
        """Facts in the log."""
        return await self.services["registry"].rooms.log.head()


@asynccontextmanager
async def house(nats: NatsServer, postgres: PostgresServer, folder: Path) -> AsyncIterator[House]:
    made = House(nats, {})
    async with AsyncExitStack() as stack:
        for blueprint, kind in BLUEPRINTS:
            asked = dataclasses.replace(blueprint, authority=partial(authority, credentials=Believing(), kind=kind))
            settings: dict[str, Any] = {"identity": "roles", "administrators": f"{MINA},{OTTO}"}
            if blueprint.name == "deployment":
                settings |= {"outlive": False, "lease_seconds": 5.0}
            made.services[blueprint.name] = await stack.enter_async_context(
                service(asked, nats, postgres, folder, schema=f"house{next(_numbers)}", **settings)
            )
        yield made


def valid_request(method: Method, project: str) -> Any:
    """A request that keeps every limit of its proto; what it asks for need not make sense."""
    request = request_of(method, project, of_others=project)
    for _ in range(12):
        violations = _validator.collect_violations(request)
        if not violations:
            return request
        for violation in violations:
            where: Any = violation.proto.field
            _mend(request, [element.field_name for element in where.elements])
    raise AssertionError(f"{method.path}: {[str(one.proto) for one in violations]}")


def _mend(message: Any, path: list[str]) -> None:
    """Fills in one thing that a limit misses, by the path of the violation."""
    if choice := message.DESCRIPTOR.oneofs_by_name.get(path[0]):
        path = [choice.fields[0].name]
    field = message.DESCRIPTOR.fields_by_name[path[0]]
    value = getattr(message, path[0])
    if len(path) > 1:
        for one in _inside(field, value):
            _mend(one, path[1:])
    elif _is_map(field):
        value.clear()
    elif field.is_repeated:
        value.add() if field.message_type else value.append(_plain(field))
    elif field.message_type is None:
        setattr(message, path[0], _plain(field))
    elif field.message_type.full_name == "google.protobuf.Duration":
        value.seconds = 60
    else:
        value.SetInParent()


def _inside(field: Any, value: Any) -> list[Any]:
    if _is_map(field):
        return list(value.values())
    return list(value) if field.is_repeated else [value]


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _plain(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[1].number
    if field.cpp_type == field.CPPTYPE_STRING:
        word = "x" + "".join(chr(ord("a") + int(digit)) for digit in str(next(_numbers)))
        known = {"sha256": "0" * 64, "principal": f"users/{word}", "owner": f"users/{word}"}
        known |= {"account": f"serviceaccounts/{word}", "key_id": "0" * 64}
        return b"x" if field.type == field.TYPE_BYTES else known.get(field.name, word)
    return 1
