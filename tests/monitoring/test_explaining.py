"""What a window saw, column by column."""

import numpy as np
import pytest

from kernel.errors import NotAllowedNow, NotFound
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.explaining import check_meant, explain
from services.monitoring.profile import capture, layout_of
from tests.monitoring.build import check, numbers, profiled, texts

DRAW = np.random.default_rng(4)
BEFORE = [
    numbers("age", DRAW.normal(40, 10, 4_000)),
    numbers("income", DRAW.normal(10, 2, 4_000)),
    texts("city", ["Rome"] * 3_000 + ["Oslo"] * 1_000),
]
BASELINE = capture(BEFORE)
WINDOW = profiled(
    layout_of(BASELINE),
    numbers("age", [*DRAW.normal(45, 10, 950), *[float("nan")] * 50]),
    numbers("income", DRAW.normal(10, 2, 1_000)),
    texts("city", ["Rome"] * 250 + ["Oslo"] * 500 + ["Bern"] * 250),
)
PSI = check(types.METHOD_PSI, 0.2)


def test_columns_come_by_what_they_explain_with_their_parts() -> None:
    city, age, income = explain(PSI, WINDOW, BASELINE, {})
    assert [one.result.column for one in (city, age, income)] == ["city", "age", "income"]
    assert sum(one.contribution for one in (city, age, income)) == pytest.approx(1)
    assert city.result.statistic / 0.2 == pytest.approx(
        city.contribution * sum(one.result.statistic for one in (city, age, income)) / 0.2
    )
    assert [(one.part, one.before, one.after) for one in city.parts] == [
        ("Oslo", 0.25, 0.5),
        ("Rome", 0.75, 0.25),
        ("(other)", 0.0, 0.25),
    ]
    assert not city.HasField("mean_after")
    assert len(age.parts) == 10
    assert sum(one.after for one in age.parts) == pytest.approx(1)
    assert (age.mean_before, age.mean_after) == pytest.approx((40, 45), abs=1)
    assert (age.missing_before, age.missing_after) == (0.0, 0.05)
    assert all(one.importance == pytest.approx(1 / 3) for one in (city, age, income))


def test_weights_turn_the_order_and_columns_without_one_have_none() -> None:
    first, *others = explain(PSI, WINDOW, BASELINE, {"income": 3.0, "age": 1.0})
    assert first.result.column == "age"
    assert (first.importance, others[-1].result.column, others[-1].contribution) == (0.25, "city", 0.0)


def test_equal_data_explain_nothing() -> None:
    same = profiled(layout_of(BASELINE), *BEFORE)
    assert [one.contribution for one in explain(PSI, same, BASELINE, {})] == [0.0, 0.0, 0.0]


def test_the_check_meant_is_the_one_asked_for_or_the_first_that_failed() -> None:
    rows, loose = check(types.METHOD_VOLUME, 1.0, id="rows"), check(types.METHOD_PSI, 9.0, id="loose")
    fact = facts.WindowEvaluated(results=[evaluate(one, WINDOW, BASELINE) for one in (rows, loose, PSI)])
    assert check_meant(fact, "").check.id == "drift"
    assert check_meant(fact, "loose").check.id == "loose"
    with pytest.raises(NotFound, match="no check other"):
        check_meant(fact, "other")
    with pytest.raises(NotAllowedNow, match="compares no columns"):
        check_meant(fact, "rows")
    with pytest.raises(NotAllowedNow, match="no check of window"):
        check_meant(facts.WindowEvaluated(results=[evaluate(rows, WINDOW, BASELINE)]), "")
