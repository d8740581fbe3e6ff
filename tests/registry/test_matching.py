"""Filters decided in memory against the oracle of search: random versions, random filters."""

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernel.errors import Invalid, Refusal
from kernel.filters import parse
from kernel.matching import Asked, condition
from modelog.registry.v1 import types_pb2 as types
from tests.registry.oracle import holds
from tests.registry.test_search_properties import SCHEMA, SEARCHABLE, filters, told, versions


@settings(max_examples=600, deadline=None)
@given(versions(), filters)
def test_a_filter_means_the_same_in_memory_as_in_a_search(version: types.Version, filter_: str) -> None:
    try:
        expression = condition(filter_, SCHEMA, "filter")
    except Refusal:
        assume(False)
    (row,) = told([(1, version)])
    row.state.revision = row.revision
    assert Asked(SEARCHABLE, row.state).meets(expression) == holds(expression, row, SEARCHABLE), filter_


@given(st.sampled_from(["fraud", "model = m1 fraud", "NOT (stage = x OR fraud)", '"a phrase"', "-fraud"]))
def test_words_decide_nothing(filter_: str) -> None:
    with pytest.raises(Invalid) as refused:
        condition(filter_, SCHEMA, "query")
    assert "a field is missing" in str(refused.value)
    with pytest.raises(ValueError, match="full text decides nothing"):
        Asked(SEARCHABLE, types.Version(name="projects/p/models/m1/versions/1")).meets(parse("fraud", SCHEMA))


def test_a_pattern_full_of_wildcards_is_decided_at_once() -> None:
    version = types.Version(name="projects/p/models/m1/versions/1", author="a" * 50_000)
    began = time.monotonic()
    asked = Asked(SEARCHABLE, version)
    assert not asked.meets(condition(f"author = {'a*' * 900}b", SCHEMA, "filter"))
    assert asked.meets(condition(f"author = {'*a' * 900}", SCHEMA, "filter"))
    assert time.monotonic() - began < 2


@given(st.text("ab", max_size=8), st.lists(st.text("ab", max_size=2), min_size=1, max_size=4))
def test_wildcards_stand_for_anything(text: str, segments: list[str]) -> None:
    version = types.Version(name="projects/p/models/m1/versions/1", author=text)
    expected = re.fullmatch(".*".join(segments), text) is not None
    pattern = "*".join(segments)
    if text:
        assert Asked(SEARCHABLE, version).meets(condition(f'author = "{pattern}"', SCHEMA, "filter")) is expected
