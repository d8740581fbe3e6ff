"""What a change of the protos would break for those who use the released ones; needs nothing but protobuf.

The same verdict as `buf breaking` at FILE level for what we write (proto3 messages, enums, services, options), so that
the check also runs where there is no npm. Adding is never breaking; removing, renaming, renumbering, retyping and
moving to another file are.
"""

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

Shape = tuple[str, str]  # What can be broken, and how it stands.


def breaks(released: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """One sentence for each promise of `released` that `now` does not keep; both hold our files and their imports."""
    after = dict(shapes(now))
    found = []
    for what, shape in shapes(released):
        if what not in after:
            found.append(f"{what} ({shape}) is gone")
        elif after[what] != shape:
            found.append(f"{what} was ({shape}), is ({after[what]})")
    return found


def shapes(image: FileDescriptorSet) -> Iterator[Shape]:
    """Everything in our files that somebody may rely on."""
    for file in image.file:
        if file.name.startswith("modelog/"):
            yield from _file(file)


def _file(file: FileDescriptorProto) -> Iterator[Shape]:
    place = f"{file.package} in {file.name}"
    for message in file.message_type:
        yield from _message(f"{file.package}.{message.name}", message, place)
    for enum in file.enum_type:
        yield from _enum(f"{file.package}.{enum.name}", enum, place)
    for service in file.service:
        yield from _service(f"{file.package}.{service.name}", service, place)
    for extension in file.extension:
        yield f"extension {extension.number} of {extension.extendee}", _field(extension, "")


def _message(name: str, message: DescriptorProto, place: str) -> Iterator[Shape]:
    yield f"message {name}", place
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        yield f"field {field.number} of {name}", _field(field, oneof)
    for reserved in message.reserved_range:
        for number in range(reserved.start, reserved.end):
            yield f"field {number} of {name}", "reserved"
    for nested in message.nested_type:
        yield from _message(f"{name}.{nested.name}", nested, place)
    for enum in message.enum_type:
        yield from _enum(f"{name}.{enum.name}", enum, place)


def _field(field: FieldDescriptorProto, oneof: str) -> str:
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"{label} {kind} {field.type_name} {field.name} {oneof}".replace("  ", " ").strip()


def _enum(name: str, enum: EnumDescriptorProto, place: str) -> Iterator[Shape]:
    yield f"enum {name}", place
    for value in enum.value:
        yield f"value {value.number} of {name}", value.name


def _service(name: str, service: ServiceDescriptorProto, place: str) -> Iterator[Shape]:
    yield f"service {name}", place
    for method in service.method:
        streams = f"{'client-streaming ' * method.client_streaming}{'server-streaming ' * method.server_streaming}"
        yield f"rpc {name}.{method.name}", f"{streams}{method.input_type} -> {method.output_type}"
