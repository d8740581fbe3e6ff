"""Tables of states: which there are, and what their columns say of a message."""

from importlib import import_module
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import message_factory

from modelog.deployment.v1.types_pb2 import ROLLOUT_STATE_SUCCEEDED, Rollout
from modelog.exports.views import TABLES, _type, item_of, value
from modelog.registry.v1.types_pb2 import Model
from modelog.sdk.settings import SERVICES

_OTHER_SERVICES = (
    "registry.v1.collaboration_service",
    "registry.v1.webhook_service",
    "archive.v1.erasure_service",
    "archive.v1.retention_service",
    "archive.v1.subscription_service",
)
# Of the caller alone.
_OWN = {"modelog.registry.v1.Watch"}


def listed() -> set[str]:
    """The kinds of resources that some method lists below a project, in the names of their messages."""
    found = set()
    for name in (*(f"{one}.v1.{one}_service" for one in SERVICES), *_OTHER_SERVICES):
        module = import_module(f"modelog.{name}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                items = [one for one in method.output_type.fields if one.is_repeated and one.message_type]
                if method.name.startswith("List") and items and "generation" in items[0].message_type.fields_by_name:
                    found.add(items[0].message_type.full_name)
    return found


def test_every_kind_of_resource_has_a_table() -> None:
    assert listed() - _OWN <= {item_of(one).full_name for one in TABLES}


@pytest.mark.parametrize("table", TABLES, ids=lambda one: one.name)
def test_an_empty_message_has_a_value_in_every_column(table: Any) -> None:
    item = message_factory.GetMessageClass(item_of(table))()
    for field in item_of(table).fields:
        pa.array([value(item, field)], _type(pa, field))


def test_columns_keep_what_they_can_as_it_is() -> None:
    model = Model(name="projects/risk/models/fraud", generation=2**40)
    model.create_time.FromJsonString("2026-03-01T12:00:00.000001Z")
    model.details.owners.append("users/ada")
    model.tags["b"] = model.tags["a"] = "v"
    told = {field.name: value(model, field) for field in Model.DESCRIPTOR.fields}
    assert told["generation"] == 2**40
    assert told["create_time"] == 1_772_366_400_000_001
    assert '"owners":["users/ada"]' in told["details"]
    assert told["tags"] == '{"a":"v","b":"v"}'
    assert told["update_time"] is None


def test_enums_are_names_and_unknown_ones_numbers() -> None:
    field = Rollout.DESCRIPTOR.fields_by_name["state"]
    assert value(Rollout(state=ROLLOUT_STATE_SUCCEEDED), field) == "ROLLOUT_STATE_SUCCEEDED"
    newer: Any = 99
    assert value(Rollout(state=newer), field) == "99"
