"""Batches counted as one come to the bytes that they come to one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.pieces import Piece, counted
from services.monitoring.profile import Column, capture, count, encode, layout_of, merge

INPUT = types.COLUMN_ROLE_INPUT
RANDOM = np.random.default_rng(3)
LAYOUT = layout_of(
    capture([Column("age", INPUT, RANDOM.normal(40, 10, 500)), Column("city", INPUT, np.empty(0), ["a", "b"] * 250)])
)


def piece(rows: int, *, texts: bool) -> Piece:
    ages = Column("age", INPUT, RANDOM.normal(45, 20, rows))
    city = Column("city", INPUT, np.empty(0), [*"abc" * rows][:rows]) if texts else Column("city", INPUT, np.ones(rows))
    return Piece([ages, city], rows, LAYOUT)


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=12))
def test_together_is_as_one_by_one(sizes: list[tuple[int, bool]]) -> None:
    pieces = [piece(rows, texts=texts) for rows, texts in sizes]
    one_by_one = types.ProfileSet()
    for one in pieces:
        one_by_one = merge(one_by_one, count(one.columns, one.layout, one.rows))
    assert encode(merge(types.ProfileSet(), counted(pieces))) == encode(one_by_one)
