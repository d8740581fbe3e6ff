"""From received bytes to a request that keeps every declared limit; whatever does not is named by its field."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from protovalidate import Validator

from kernel.errors import FieldViolation, Invalid
from kernel.hygiene import unclean
from modelog.texts import markers_in

_MOST_BYTES = 256 * 1024
_MOST_NAMED = 20  # Wrong fields in one refusal: it travels as metadata.
_validator = Validator()


def parse(cls: type[Message], raw: bytes, most_bytes: int = _MOST_BYTES) -> Any:
    """The request. Invalid when it is too large, malformed, unclean, has unknown fields or breaks a limit."""
    if len(raw) > most_bytes:
        raise Invalid("REQUEST_TOO_LARGE", f"{len(raw)} bytes; at most {most_bytes} are accepted")
    request = cls()
    try:
        request.ParseFromString(raw)
    except DecodeError as error:
        raise Invalid("REQUEST_MALFORMED", f"not a {cls.DESCRIPTOR.full_name}: {error}") from error
    size = request.ByteSize()
    request.DiscardUnknownFields()
    if request.ByteSize() != size:
        request.ParseFromString(raw)
        raise _refused([FieldViolation(path, "unknown field", "UNKNOWN_FIELD") for path in _unknown(request, "")])
    if marks := markers_in(raw):
        raise Invalid("TEXT_RESERVED", f"{marks[0]} stands for a text beside the log; write the text itself")
    if dirt := list(islice(unclean(request), _MOST_NAMED)):
        raise _refused(dirt)
    violations = _validator.collect_violations(request)
    if violations:
        raise _refused([_named(violation) for violation in violations[:_MOST_NAMED]])
    return request


def warm(cls: type[Message]) -> None:
    """Compiles the limits of a request type, so that its first call does not pay for it."""
    _validator.collect_violations(cls())


def _refused(violations: list[FieldViolation]) -> Invalid:
    text = "; ".join(f"{one.field or 'request'}: {one.description}" for one in violations)
    return Invalid("INVALID_REQUEST", text, violations=violations)


def _named(violation: Any) -> FieldViolation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field is not None else ():
        path += ("." if path else "") + element.field_name
        subscript = element.subscript
        if subscript is not None:
            key = subscript.value
            path += f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    rule = proto.rule_id or "invalid"
    return FieldViolation(path, proto.message or rule, rule.upper().replace(".", "_"))


def _unknown(message: Message, path: str) -> Iterator[str]:
    unknown_fields: Any = UnknownFieldSet(message)
    for unknown in unknown_fields:
        yield f"{path}#{unknown.field_number}"
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        inner = f"{path}{field.name}"
        entry: Any = field.message_type
        if entry.GetOptions().map_entry:
            if entry.fields_by_name["value"].type == field.TYPE_MESSAGE:
                for key in value:
                    yield from _unknown(value[key], f'{inner}["{key}"].')
        elif field.is_repeated:
            for index, one in enumerate(value):
                yield from _unknown(one, f"{inner}[{index}].")
        else:
            yield from _unknown(value, f"{inner}.")
