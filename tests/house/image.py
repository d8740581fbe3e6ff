"""The protos as descriptors with their comments: what the rules in protos.py look at."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from tests.house.tree import ROOT

GENERATOR = ROOT / ".venv-protos" / "bin" / "python"
# Numbers that descriptor.proto gives to the lists of a file, by which comments are found.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _NESTED, _NESTED_ENUMS, _METHODS = 4, 5, 6, 2, 3, 4, 2

Path_ = tuple[int, ...]


def compile_protos(folder: Path, target: Path) -> FileDescriptorSet:
    """The protos below `folder`/modelog with all they import, as protoc reads them now; asserts that it can."""
    command: list[str | Path] = [
        GENERATOR,
        ROOT / "protos" / "generate.py",
        "--protos",
        folder,
        "--comments",
        "--image",
        target,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return FileDescriptorSet.FromString(target.read_bytes())


@dataclass(frozen=True)
class Method:
    """One RPC with the service it belongs to."""

    package: str
    service: str
    proto: MethodDescriptorProto

    @property
    def name(self) -> str:
        return f"{self.package}.{self.service}.{self.proto.name}"


@dataclass(frozen=True)
class Element:
    """Something that wants a comment, and where it stands in its file."""

    name: str
    path: Path_
    # Fields and RPCs have neighbours: a block of lines without a gap shares the comment above it.
    has_neighbours: bool


class Image:
    """All protos of ours, looked up by name."""

    def __init__(self, described: FileDescriptorSet) -> None:
        self.files = [file for file in described.file if file.name.startswith("modelog/")]

    @cached_property
    def messages(self) -> dict[str, DescriptorProto]:
        """Every message of ours by its full name with a leading dot, as fields and methods refer to it."""
        found: dict[str, DescriptorProto] = {}

        def add(prefix: str, message: DescriptorProto) -> None:
            found[f"{prefix}.{message.name}"] = message
            for nested in message.nested_type:
                add(f"{prefix}.{message.name}", nested)

        for file in self.files:
            for message in file.message_type:
                add(f".{file.package}", message)
        return found

    @cached_property
    def methods(self) -> list[Method]:
        return [
            Method(file.package, service.name, method)
            for file in self.files
            for service in file.service
            for method in service.method
        ]

    def fields(self, message: str) -> dict[str, FieldDescriptorProto]:
        """The fields of one of our messages by name; nothing for a message of others."""
        return {field.name: field for field in self.messages[message].field} if message in self.messages else {}

    @cached_property
    def comments(self) -> dict[str, str]:
        """The comment above each top-level message's field, by `.package.Message.field`."""
        found: dict[str, str] = {}
        for file in self.files:
            for place in file.source_code_info.location:
                match list(place.path):
                    case [4, message, 2, field]:
                        described = file.message_type[message]
                        name = f".{file.package}.{described.name}.{described.field[field].name}"
                        found[name] = place.leading_comments
        return found

    def reached(self, message: str) -> set[str]:
        """The message and every message of ours inside it."""
        found: set[str] = set()
        waiting = [message]
        while waiting:
            one = waiting.pop()
            if one not in found and one in self.messages:
                found.add(one)
                waiting += [field.type_name for field in self.messages[one].field if field.type_name]
        return found


def undocumented(file: FileDescriptorProto) -> list[str]:
    """Messages, fields, enums, services and RPCs of a file that no comment speaks of, each with its line."""
    places = {tuple(place.path): place for place in file.source_code_info.location}
    documented: set[Path_] = set()
    found = []
    for element in elements(file):
        place = places[element.path]
        first_line = place.span[0]
        before = (*element.path[:-1], element.path[-1] - 1)
        shared = element.has_neighbours and before in documented and _last_line(places[before].span) == first_line - 1
        if place.leading_comments.strip() or place.trailing_comments.strip() or shared:
            documented.add(element.path)
        else:
            found.append(f"{file.name}:{first_line + 1}: {element.name} has no comment")
    return found


def _last_line(span: object) -> int:
    lines = list(span)  # type: ignore[call-overload]
    return int(lines[2] if len(lines) == 4 else lines[0])


def elements(file: FileDescriptorProto) -> Iterator[Element]:
    for i, message in enumerate(file.message_type):
        yield from _of_message(message.name, message, (_MESSAGES, i))
    for i, enum in enumerate(file.enum_type):
        yield Element(enum.name, (_ENUMS, i), False)
    for i, service in enumerate(file.service):
        yield Element(service.name, (_SERVICES, i), False)
        for j, method in enumerate(service.method):
            yield Element(f"{service.name}.{method.name}", (_SERVICES, i, _METHODS, j), False)


def _of_message(name: str, message: DescriptorProto, path: Path_) -> Iterator[Element]:
    if message.options.map_entry:
        return
    yield Element(name, path, False)
    for i, field in enumerate(message.field):
        yield Element(f"{name}.{field.name}", (*path, _FIELDS, i), True)
    for i, nested in enumerate(message.nested_type):
        yield from _of_message(f"{name}.{nested.name}", nested, (*path, _NESTED, i))
    for i, enum in enumerate(message.enum_type):
        yield Element(f"{name}.{enum.name}", (*path, _NESTED_ENUMS, i), False)
