"""What counting adds to windows beside columns: groups, queries, expected errors."""

from typing import Any

from google.protobuf.message import Message

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.pieces import Piece, counted
from services.monitoring.profile import encode, merge
from services.monitoring.telemetry.batches import Outcomes, Predictions, Rejected, read
from services.monitoring.telemetry.rows import Beside, rows_of, rows_of_pairs
from services.monitoring.windows import Plan, Rows
from tests.monitoring.build import ENDPOINT, MONITOR, batch, column, outcomes

SECRET = "aged-97"


def plan(**fields: Any) -> Plan:
    tracks = frozenset({types.TRACK_PREDICTIONS, types.TRACK_LABELS})
    return Plan(MONITOR, types.WindowSpec(size_rows=10), "", {}, "", tracks, **fields)


def profiles(rows: Rows, start: int, stop: int) -> types.ProfileSet:
    made = rows.profiles(start, stop)
    return counted([made]) if isinstance(made, Piece) else made


def read_as(kind: str, message: Message) -> Predictions | Outcomes | Rejected:
    return read(f"telemetry.{kind}.risk.{ENDPOINT.rsplit('/', 1)[1]}", message.SerializeToString())


def test_predictions_are_counted_by_group_only_where_a_check_asks() -> None:
    told = read_as(
        "predictions", batch("b", [1.0, 2.0, 3.0], scores=[1, 0, 1], sensitive=[column("sex", ["f", "m", "f"])])
    )
    assert isinstance(told, Predictions)
    rows = rows_of(plan(sensitive=("sex",)), told, 1)
    whole = profiles(rows, 0, 3)
    assert [(one.group, one.rows) for one in whole.sensitive[0].groups] == [("f", 2), ("m", 1)]
    assert encode(merge(profiles(rows, 0, 1), profiles(rows, 1, 3))) == encode(whole)
    assert not profiles(rows_of(plan(), told, 1), 0, 3).sensitive
    assert plan(beside=("sex",)).terms != plan().terms


def test_labels_bring_groups_and_queries_and_a_split_window_counts_a_query_once() -> None:
    message = outcomes("o", {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0})
    message.sensitive.append(column("sex", ["f", "m", "f", "m"]))
    message.queries.extend(["q1", "q1", "q2", "q2"])
    told = read_as("outcomes", message)
    assert isinstance(told, Outcomes)
    pairs = [("0.9", "1"), ("0.2", "0"), ("0.1", "1"), ("0.8", "0")]
    rows = rows_of_pairs(plan(sensitive=("sex",), queries=True), pairs, 1, 1, Beside(told, range(4)))
    parts = [profiles(rows, 0, 1), profiles(rows, 1, 3), profiles(rows, 3, 4)]
    assert [one.ranked_queries.queries for one in parts] == [0, 1, 1]
    both = merge(merge(parts[0], parts[1]), parts[2])
    assert encode(both) == encode(profiles(rows, 0, 4))
    assert [one.rows for one in both.sensitive[0].groups] == [2, 2]


def test_what_is_wrong_with_a_sensitive_column_does_not_tell_its_values() -> None:
    unfit = read_as("predictions", batch("b", [1.0, 2.0], sensitive=[column("age", [SECRET])]))
    assert isinstance(unfit, Rejected)
    assert "age: 1 values for 2 rows" in unfit.reason
    assert SECRET not in unfit.reason
