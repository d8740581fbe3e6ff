"""The lists of searchable fields: whatever a resource holds, its row can be made."""

from datetime import UTC, datetime

import pytest

from kernel.documents import document
from kernel.fields import Schema, Searchable, Type
from kernel.folding import History
from kernel.index import row_of
from kernel.names import sort_key
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import VERSION
from services.registry.searchable import SEARCHABLES, version_fields
from tests.registry.build import MODEL_NAME

NAMES = {"project": "projects/p", "model": "projects/p/models/m", "version": "projects/p/models/m/versions/1"}


@pytest.mark.parametrize("searchable", SEARCHABLES, ids=lambda one: one.kind.table)
def test_a_resource_whose_first_fact_could_not_be_read_has_a_row(searchable: Searchable) -> None:
    """All that is known of it is its name: a field that fails on it would stop the fold."""
    name = NAMES[searchable.kind.table]
    body = searchable.kind.message(name=name).SerializeToString()
    row = row_of(searchable, History(name, sort_key(name), 1, datetime(2026, 3, 1, tzinfo=UTC), body))
    assert row[:3] == (searchable.kind.table, sort_key(name), name)


def test_a_path_means_the_same_in_every_kind() -> None:
    Schema(SEARCHABLES)  # TypeError where it does not, and a search over several kinds could not be asked.
    for searchable in SEARCHABLES:
        paths = [field.path for field in searchable.fields()]
        assert len(paths) == len(set(paths))
        assert all(field.body for field in searchable.fields() if field.type is Type.WORDS)


def test_a_document_does_not_depend_on_how_its_message_came_to_be() -> None:
    """The order in which a map of a message is gone through is nobody's promise, and differs after a replay."""
    names = [f"name-{number}" for number in range(40)]
    made = []
    for order in (names, names[::-1]):
        version = types.Version(name=f"{MODEL_NAME}/versions/1")
        for name in order:
            version.tags[name] = "x"
            version.hyperparameters[name] = "y"
            version.evaluations[name].method = f"method of {name}"
            version.evaluations[name].data_set.name = f"data of {name}"
            version.evaluations[name].metrics["auc"].value = 0.5
        made.append(document(Searchable(VERSION, version_fields), version))
    assert made[0] == made[1]
