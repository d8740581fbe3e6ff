"""The kinds of resources a file may declare. What may be said of each follows from the protos: see `fields_of`."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

# Fields with smaller numbers are the header that all resources share.
_FIRST_OWN = 10


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of resource.

    pattern: of its names. create, update: methods that write it; without update nothing changes once it is there.
    further: fields that methods of their own write. partly: fields of which a document may say a part; every other
    field is said as a whole.
    """

    word: str
    pattern: str
    service: str
    create: str
    update: str = ""
    further: Mapping[str, str] = field(default_factory=dict)
    partly: frozenset[str] = frozenset()

    @property
    def collection(self) -> str:
        return self.pattern.split("/")[-2]


# In the order in which they depend on each other.
KINDS = (
    Kind(
        "Project",
        "projects/*",
        "registry",
        create="CreateProject",
        update="UpdateProject",
        further={"role_definitions": "DefineRole", "lifecycle": "SetLifecycle", "policy": "SetPolicy"},
        partly=frozenset({"role_definitions"}),
    ),
    Kind(
        "Model",
        "projects/*/models/*",
        "registry",
        create="CreateModel",
        update="UpdateModel",
        further={"tags": "SetTag"},
        partly=frozenset({"details", "tags"}),
    ),
    Kind(
        "Environment",
        "projects/*/environments/*",
        "deployment",
        create="DefineEnvironment",
        update="DefineEnvironment",
    ),
    Kind("Endpoint", "projects/*/endpoints/*", "deployment", create="CreateEndpoint"),
    Kind("Monitor", "projects/*/monitors/*", "monitoring", create="CreateMonitor", update="UpdateMonitor"),
)
BY_WORD = {kind.word: kind for kind in KINDS}
# What a field of this name holds, where it names another resource.
REFERENCES = {kind.word.lower(): kind.pattern for kind in KINDS}


def full_name(text: str, pattern: str) -> str:
    """`projects/risk/models/fraud` of `risk/fraud`; ValueError when it is no name of this pattern."""
    parts = pattern.split("/")
    given = text.split("/")
    if len(given) == len(parts) and given[::2] == parts[::2]:
        given = given[1::2]
    if len(given) != len(parts) // 2 or not all(given):
        short = "/".join(("risk", "fraud")[: len(parts) // 2])
        example = pattern.replace("*", "risk", 1).replace("*", "fraud")
        raise ValueError(f"{text!r} is no name; write {short} or {example}")
    return "/".join(word for pair in zip(parts[::2], given, strict=True) for word in pair)


def short_name(name: str) -> str:
    """`risk/fraud` of `projects/risk/models/fraud`."""
    return "/".join(name.split("/")[1::2])


@lru_cache
def resource_of(kind: Kind) -> Any:
    """The message class of the resource."""
    return message_factory.GetMessageClass(method(kind.service, f"Get{kind.word}").output_type)


@lru_cache
def fields_of(kind: Kind) -> Mapping[str, FieldDescriptor]:
    """What a document may say, by the name of the field: what the resource has and a write of it takes."""
    written = {one.name for name in (kind.create, kind.update) if name for one in inputs(kind, name).fields}
    written |= kind.further.keys()
    return {
        one.name: one for one in resource_of(kind).DESCRIPTOR.fields if one.name in written and one.number >= _FIRST_OWN
    }


def fixed_of(kind: Kind) -> frozenset[str]:
    """Fields that are given when it is created and never change."""
    changing = {one.name for one in inputs(kind, kind.update).fields} if kind.update else set()
    return frozenset(fields_of(kind).keys() - changing - kind.further.keys())


def inputs(kind: Kind, name: str) -> Descriptor:
    return method(kind.service, name).input_type


def method(service: str, name: str) -> MethodDescriptor:
    """A method of `registry` and the like."""
    module = importlib.import_module(f"modelog.{service}.v1.{service}_service_pb2")
    found: MethodDescriptor = module.DESCRIPTOR.services_by_name[f"{service.capitalize()}Service"].methods_by_name[name]
    return found


def request_of(service: str, name: str) -> Any:
    """An empty request of a method."""
    return message_factory.GetMessageClass(method(service, name).input_type)()
