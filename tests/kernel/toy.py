"""A service of one resource, made without a .proto of its own, to test the kernel on."""

from functools import partial
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from kernel.errors import NotAllowedNow, NotFound, UnknownFact
from kernel.fold import kind
from kernel.rooms import Blueprint, Rooms
from kernel.status import message_of
from modelog.log.v1 import fact_pb2 as _fact  # Puts google/protobuf/any.proto and the types into the pool.
from modelog.type.v1 import options_pb2, quarantine_pb2, read_pb2, refusal_pb2

_F = descriptor_pb2.FieldDescriptorProto
_INT, _TEXT, _MESSAGE, _BOOL = _F.TYPE_INT64, _F.TYPE_STRING, _F.TYPE_MESSAGE, _F.TYPE_BOOL
_TIME = ".google.protobuf.Timestamp"
_MESSAGES: dict[str, list[tuple[str, int, int, str]]] = {
    "Toy": [
        ("name", 1, _TEXT, ""), ("generation", 2, _INT, ""), ("revision", 3, _INT, ""),
        ("create_time", 4, _MESSAGE, _TIME), ("update_time", 5, _MESSAGE, _TIME),
        ("quarantine", 6, _MESSAGE, ".modelog.type.v1.Quarantine"), ("total", 10, _INT, ""), ("label", 11, _TEXT, ""),
    ],
    "ToyMade": [("label", 1, _TEXT, "")],
    "ToyAdded": [("amount", 1, _INT, "")],
    "ToyBroken": [],
    "MakeToyRequest": [
        ("parent", 1, _TEXT, ""), ("toy_id", 2, _TEXT, ""), ("label", 3, _TEXT, ""), ("request_id", 4, _TEXT, ""),
    ],
    "MakeToyResponse": [("name", 1, _TEXT, ""), ("revision", 2, _INT, "")],
    "AddRequest": [
        ("name", 1, _TEXT, ""), ("amount", 2, _INT, ""), ("request_id", 3, _TEXT, ""), ("etag", 4, _TEXT, ""),
        ("validate_only", 5, _BOOL, ""), ("reason", 6, _TEXT, ""),
    ],
    "AddResponse": [("name", 1, _TEXT, ""), ("revision", 2, _INT, "")],
    "AddManyResponse": [
        ("name", 1, _TEXT, ""), ("revision", 2, _INT, ""), ("refusal", 3, _MESSAGE, ".modelog.type.v1.Refusal"),
    ],
    "AddUpResponse": [("total", 1, _INT, "")],
    "MakePartRequest": [("parent", 1, _TEXT, ""), ("label", 2, _TEXT, ""), ("request_id", 3, _TEXT, "")],
    "MakePartResponse": [("name", 1, _TEXT, ""), ("revision", 2, _INT, "")],
    "GetToyRequest": [("name", 1, _TEXT, ""), ("read", 2, _MESSAGE, ".modelog.type.v1.ReadOptions")],
    "ListToysRequest": [
        ("parent", 1, _TEXT, ""), ("page_size", 2, _F.TYPE_INT32, ""), ("page_token", 3, _TEXT, ""),
        ("read", 4, _MESSAGE, ".modelog.type.v1.ReadOptions"),
    ],
    "ListToysResponse": [("toys", 1, _MESSAGE, ".modelog.registry.toy.Toy"), ("next_page_token", 2, _TEXT, "")],
}  # fmt: skip
_METHODS = (
    ("MakeToy", "MakeToyRequest", "MakeToyResponse"),
    ("Add", "AddRequest", "AddResponse"),
    ("MakePart", "MakePartRequest", "MakePartResponse"),
    ("GetToy", "GetToyRequest", "Toy"),
    ("ListToys", "ListToysRequest", "ListToysResponse"),
    ("AddMany", "AddRequest", "AddManyResponse"),
    ("AddUp", "AddRequest", "AddUpResponse"),
)
_TAKING, _BOTH = ("AddMany", "AddUp"), ("AddMany",)


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="modelog/toy/v1/toy.proto", package="modelog.registry.toy", syntax="proto3"
    )
    file.dependency.extend(
        [
            "google/protobuf/timestamp.proto",
            *(one.DESCRIPTOR.name for one in (options_pb2, quarantine_pb2, read_pb2, refusal_pb2)),
        ]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, type_, type_name in fields:
            label = _F.LABEL_REPEATED if field == "toys" else _F.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=type_, type_name=type_name or None, label=label)
    service = file.service.add(name="ToyService")
    for name, request, reply in _METHODS:
        method = service.method.add(
            name=name,
            input_type=f".modelog.registry.toy.{request}",
            output_type=f".modelog.registry.toy.{reply}",
            client_streaming=name in _TAKING,
            server_streaming=name in _BOTH,
        )
        options: Any = method.options
        options.Extensions[options_pb2.required_permission] = f"toy.toys.{name.lower()}"
    return file


_FILE = descriptor_pool.Default().AddSerializedFile(_described().SerializeToString())
assert _fact.DESCRIPTOR is not None
SERVICE = descriptor_pool.Default().FindServiceByName("modelog.registry.toy.ToyService")
M: Any = type("M", (), {})
for _name in _MESSAGES:
    setattr(
        M,
        _name,
        message_factory.GetMessageClass(
            descriptor_pool.Default().FindMessageTypeByName(f"modelog.registry.toy.{_name}")
        ),
    )


def evolve(toy: Any, event: Any, _fact: Any) -> None:
    if isinstance(event, M.ToyMade):
        toy.label = event.label
    elif isinstance(event, M.ToyAdded):
        toy.total += event.amount
    else:
        raise UnknownFact(event)


# The service is called registry because the embedded NATS lets only the four real names in.
TOY = kind("registry", "projects/*/toys/*", M.Toy, evolve)
PART = kind("registry", "projects/*/toys/*/parts/#", M.Toy, evolve, table="part")


def make(toy: Any, *, label: str) -> Any:
    return None if toy.name else M.ToyMade(label=label)


def add(toy: Any, *, amount: int) -> Any:
    if not toy.name:
        raise NotFound("TOY_NOT_FOUND", "make it first")
    if toy.total + amount > 1000:
        raise NotAllowedNow("TOY_FULL", "take another toy")
    return M.ToyAdded(amount=amount) if amount else None


def make_part(_part: Any, toy: Any, *, label: str) -> Any:
    if not toy.name:
        raise NotFound("TOY_NOT_FOUND", "make it first")
    return M.ToyMade(label=label)


class ToyServicer:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def MakeToy(self, request: Any, context: Any) -> Any:
        name = f"{request.parent}/toys/{request.toy_id}"
        done = await self._rooms.transact(TOY, name, context.cause(), partial(make, label=request.label))
        return M.MakeToyResponse(name=done.name, revision=done.revision)

    async def Add(self, request: Any, context: Any) -> Any:
        done = await self._rooms.transact(TOY, request.name, context.cause(), partial(add, amount=request.amount))
        return M.AddResponse(name=done.name, revision=done.revision)

    def AddMany(self, incoming: Any) -> Any:
        async def added(context: Any) -> Any:
            done = await self.Add(context.request, context)
            return M.AddManyResponse(name=done.name, revision=done.revision)

        def refused(_request: Any, refusal: Any) -> Any:
            return M.AddManyResponse(refusal=message_of(refusal))

        return incoming.answered(added, turn=lambda request: request.name, refused=refused)

    async def AddUp(self, incoming: Any) -> Any:
        total = 0
        async for context in incoming:
            await self.Add(context.request, context)
            total += context.request.amount
        return M.AddUpResponse(total=total)

    async def MakePart(self, request: Any, context: Any) -> Any:
        decide = partial(make_part, label=request.label)
        reads = ((TOY, request.parent),)
        done = await self._rooms.transact.create_numbered(PART, request.parent, context.cause(), decide, reads=reads)
        return M.MakePartResponse(name=done.name, revision=done.revision)

    async def GetToy(self, request: Any, _context: Any) -> bytes:
        return await self._rooms.resources.get(TOY, request.name, request.read)

    async def ListToys(self, request: Any, _context: Any) -> bytes:
        return await self._rooms.resources.page(TOY, f"{request.parent}/toys/", request)


TOYS = Blueprint(name="registry", kinds=(TOY, PART), doors=lambda rooms: [(SERVICE, ToyServicer(rooms))])
