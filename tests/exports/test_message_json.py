"""Our JSON of a message against that of google.protobuf.json_format: every kind of fact, filled at random."""

import random
import sys
from typing import Any

import pytest
from google.protobuf import json_format, message_factory

from modelog.known_events import descriptor_of, kinds_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.message_json import message_json
from modelog.sdk.settings import SERVICES

KINDS = [f"modelog.{service}.v1.{kind}" for service in SERVICES for kind in kinds_of(service)]
_DEPTH = 5
_WORDS = ("", "weil “so”\n", "projects/risk", "\u2028\x00")
_NUMBERS = (0.0, -0.0, 1.0, 0.1, 1e300, float("inf"), float("-inf"), float("nan"), sys.float_info.min)


def filled(descriptor: Any, chance: random.Random, depth: int = 0) -> Any:
    """A message with some of its fields, and some of theirs."""
    made: Any = message_factory.GetMessageClass(descriptor)()
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        made.seconds, made.nanos = chance.randrange(2_000_000_000), chance.randrange(1_000_000) * 1000
        return made
    if descriptor.full_name.startswith("google.protobuf."):
        return made
    for field in descriptor.fields:
        if chance.random() < 0.3 or (field.message_type is not None and depth == _DEPTH):
            continue
        held = getattr(made, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kinds = field.message_type.fields_by_name
            for _ in range(2):
                key = single(kinds["key"], chance, depth)
                if kinds["value"].message_type is not None:
                    held[key].CopyFrom(single(kinds["value"], chance, depth))
                else:
                    held[key] = single(kinds["value"], chance, depth)
        elif field.is_repeated:
            held.extend(single(field, chance, depth) for _ in range(chance.randrange(3)))
        elif field.message_type is not None:
            held.CopyFrom(single(field, chance, depth))
        else:
            setattr(made, field.name, single(field, chance, depth))
    return made


def single(field: Any, chance: random.Random, depth: int) -> Any:
    if field.message_type is not None:
        return filled(field.message_type, chance, depth + 1)
    if field.enum_type is not None:
        return chance.choice([*(one.number for one in field.enum_type.values), 99])
    if field.type == field.TYPE_BYTES:
        return chance.randbytes(chance.randrange(5))
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            return chance.choice(_WORDS)
        case field.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case field.CPPTYPE_DOUBLE | field.CPPTYPE_FLOAT:
            return chance.choice(_NUMBERS)
    return chance.randrange(2**31)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_json_of_the_library(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(20):
        message = filled(descriptor_of(kind), chance)
        assert message_json(message) == json_format.MessageToDict(message)


def test_well_known_messages_have_forms_of_their_own() -> None:
    fact = Fact(generation=2**40)
    fact.recorded_at.FromJsonString("2026-03-01T12:00:00.5Z")
    fact.event.Pack(Fact(id="inside"))
    assert message_json(fact) == json_format.MessageToDict(fact)
    assert message_json(fact)["generation"] == str(2**40)
