"""Groups, queries, classes and expected errors, counted and compared."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.checks import evaluate
from services.monitoring.domain.checking import complete_checks
from services.monitoring.groups import Row, count_groups
from services.monitoring.losses import fit_losses, is_sound_model, losses_of
from services.monitoring.performance import count_pairs
from services.monitoring.profile import Column, encode, merge
from services.monitoring.ranking import count_queries, gains_of
from tests.monitoring.build import OUTPUT, check, numbers, texts

ORACLE = Path(__file__).parents[1] / "oracle"
ROWS = (
    [Row("1", "1", "a")] * 40
    + [Row("1", "0", "a")] * 20
    + [Row("0", "0", "a")] * 40
    + [Row("1", "1", "b")] * 15
    + [Row("0", "1", "b")] * 25
    + [Row("0", "0", "b")] * 60
    + [Row("1", "1", "tiny")] * 3
)


def grouped(rows: list[Row]) -> types.ProfileSet:
    return types.ProfileSet(rows=len(rows), sensitive=[count_groups("sex", rows)])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (types.METHOD_DEMOGRAPHIC_PARITY_DIFFERENCE, 0.6 - 0.15),
        (types.METHOD_DEMOGRAPHIC_PARITY_RATIO, 0.15 / 0.6),
        (types.METHOD_EQUAL_OPPORTUNITY_DIFFERENCE, 1 - 15 / 40),
        (types.METHOD_EQUALIZED_ODDS_DIFFERENCE, 1 - 15 / 40),
    ],
)
@pytest.mark.parametrize("cut", [0.0, 0.5])
def test_groups_are_compared(method: types.Method, expected: float, cut: float) -> None:
    result = evaluate(check(method, 0.2, sensitive="sex", minimum_group_rows=3, cut=cut), grouped(ROWS[:-3]), None)
    assert result.statistic == pytest.approx(expected, abs=1e-12)
    assert [one.group for one in result.groups] == ["a", "b"]
    if method != types.METHOD_DEMOGRAPHIC_PARITY_RATIO:
        assert result.interval.low < expected < result.interval.high


def test_small_groups_are_never_told_and_cannot_be_subtracted() -> None:
    method = types.METHOD_DEMOGRAPHIC_PARITY_DIFFERENCE
    result = evaluate(check(method, 0.2, sensitive="sex", minimum_group_rows=30), grouped(ROWS), None)
    assert b"tiny" not in result.SerializeToString()
    # Three rows would be told by what is missing from the total, so the next group is left out with them.
    assert result.outcome == types.OUTCOME_INCONCLUSIVE


def test_groups_counted_in_any_parts_are_the_same_bytes() -> None:
    rows = [Row(repr(at / 97), str(at % 2), f"g{at % 80}") for at in range(97)] * 3
    parts = [rows[:50], rows[50:51], rows[51:]]
    there = merge(merge(grouped(parts[0]), grouped(parts[1])), grouped(parts[2]))
    back = merge(grouped(parts[2]), merge(grouped(parts[1]), grouped(parts[0])))
    assert encode(there) == encode(back) == encode(grouped(rows))
    assert there.sensitive[0].other_rows > 0


def test_checks_of_groups_say_which_column_and_where_to_cut() -> None:
    method = types.METHOD_DEMOGRAPHIC_PARITY_DIFFERENCE
    incomplete: list[dict[str, Any]] = [{}, {"sensitive": "sex", "cut": 0.123}]
    for wrong in incomplete:
        with pytest.raises(Invalid):
            complete_checks([types.Check(id="fair", method=method, threshold=0.1, **wrong)])
    (complete,) = complete_checks([types.Check(id="fair", method=method, threshold=0.1, sensitive="sex")])
    assert complete.minimum_group_rows == 30
    with pytest.raises(Invalid):
        complete_checks([types.Check(id="psi", method=types.METHOD_PSI, threshold=0.1, sensitive="sex")])


def test_ndcg_of_a_query_with_and_without_ties() -> None:
    gains = gains_of([0.1, 0.4, 0.3], [3.0, 0.0, 1.0])
    assert gains is not None
    ideal = 3 + 1 / math.log2(3)
    assert gains[-1] == pytest.approx((1 / math.log2(3) + 3 / 2) / ideal)
    tied = gains_of([0.5, 0.5], [1.0, 0.0])
    assert tied is not None
    assert tied[-1] == pytest.approx((0.5 + 0.5 / math.log2(3)) / 1)
    assert gains_of([1.0], [0.0]) is None


def test_ndcg_is_the_mean_over_queries_that_have_something_relevant() -> None:
    gains = [gains_of([2.0, 1.0], [1.0, 0.0]), gains_of([1.0, 2.0], [1.0, 0.0]), None]
    window = types.ProfileSet(rows=6, ranked_queries=count_queries(gains))
    result = evaluate(check(types.METHOD_NDCG, 0.5, top=1), merge(window, window), None)
    assert (result.statistic, result.rows, result.outcome) == (0.5, 4, types.OUTCOME_OK)


def test_metrics_of_many_classes() -> None:
    pairs = [("a", "a")] * 6 + [("a", "b")] * 2 + [("b", "b")] * 3 + [("c", "a")] * 2 + [("c", "c")] * 7
    window = types.ProfileSet(rows=20, performance=count_pairs(pairs))
    found = {
        method: evaluate(check(method, 0.1), window, None)
        for method in (types.METHOD_BALANCED_ACCURACY, types.METHOD_MATTHEWS_CORRELATION, types.METHOD_MACRO_F1)
    }
    assert found[types.METHOD_BALANCED_ACCURACY].statistic == pytest.approx((6 / 8 + 3 / 5 + 1) / 3)
    assert found[types.METHOD_MACRO_F1].statistic == pytest.approx((12 / 16 + 6 / 8 + 14 / 16) / 3)
    codes = dict(zip("abc", np.eye(3), strict=True))
    said, true = (np.array([codes[one[side]] for one in pairs]) for side in (0, 1))
    covered = [((x - x.mean(0)) * (y - y.mean(0))).sum() for x, y in ((said, true), (said, said), (true, true))]
    assert found[types.METHOD_MATTHEWS_CORRELATION].statistic == pytest.approx(
        covered[0] / math.sqrt(covered[1] * covered[2])
    )
    for result in found.values():
        assert result.interval.low < result.statistic < result.interval.high


def test_intervals_of_many_classes_are_those_of_moving_one_row() -> None:
    cells = {("a", "a"): 60, ("a", "b"): 20, ("b", "b"): 30, ("c", "a"): 20, ("c", "c"): 70}

    def told(counts: dict[tuple[str, str], int], method: types.Method) -> types.CheckResult:
        window = types.ProfileSet(rows=200)
        window.performance.pairs = sum(counts.values())
        for (prediction, label), count in sorted(counts.items()):
            window.performance.confusion.add(prediction=prediction, label=label, count=count)
        return evaluate(check(method, 0.1), window, None)

    for method in (types.METHOD_MATTHEWS_CORRELATION, types.METHOD_MACRO_F1):
        whole = told(cells, method)
        spread = 0.0
        without = []
        for cell, count in cells.items():
            value = told({**cells, cell: count - 1}, method).statistic
            without.append((count, 199 * (whole.statistic - value)))
        mean = sum(count * one for count, one in without) / 200
        spread = math.sqrt(sum(count * (one - mean) ** 2 for count, one in without)) / 200
        assert (whole.interval.high - whole.interval.low) / 2 == pytest.approx(1.959964 * spread, rel=0.03)


def test_expected_errors_are_nannymls_in_every_chunk_and_add_up() -> None:
    told = json.loads((ORACLE / "losses.json").read_text(encoding="utf-8"))
    kept = dict(np.load(ORACLE / "losses.npz"))

    def columns(period: str) -> list[Column]:
        found = []
        for key, values in kept.items():
            name = key.removeprefix(f"{period}/")
            if key.startswith(period) and name != "y_true":
                role = {"role": OUTPUT} if name == "y_pred" else {}
                made = (
                    numbers(name, values, **role) if values.dtype.kind == "i" else texts(name, values.tolist(), **role)
                )
                found.append(made)
        return found

    reference = columns("reference")
    prediction = next(one for one in reference if one.name == "y_pred")
    model = fit_losses(reference, prediction, kept["reference/y_true"].astype(np.float64))
    assert model is not None
    assert is_sound_model(model)
    losses = losses_of(types.ProfileSet(loss_model=model))
    assert losses is not None

    def window_of(parts: list[Column]) -> types.ProfileSet:
        return types.ProfileSet(rows=parts[0].rows, expected_errors=losses.expected(parts, parts[0].rows))

    scale = {name: np.mean(told[name]) for name in ("mae", "rmse")}
    for at, (mae, rmse) in enumerate(zip(told["mae"], told["rmse"], strict=True)):
        start, stop = at * told["chunk"], (at + 1) * told["chunk"]
        parts = [one.part(start, stop) for one in columns("analysis")]
        window = window_of(parts)
        halves = [window_of([one.part(start, start + 500) for one in parts]) for start in (500, 0)]
        assert encode(merge(*halves)) == encode(window)
        for method, value, name in (
            (types.METHOD_ESTIMATED_MAE, mae, "mae"),
            (types.METHOD_ESTIMATED_RMSE, rmse, "rmse"),
        ):
            found = evaluate(check(method, 1e9), window, None).statistic
            assert found == pytest.approx(value, abs=0.02 * scale[name])


def test_a_model_of_errors_wants_numbers_and_enough_of_them() -> None:
    prediction = numbers("y", np.linspace(0, 1, 50), OUTPUT)
    assert fit_losses([prediction], prediction, np.linspace(5, 6, 50)) is None
    labels = np.array([0.0, 1.0] * 100)
    prediction = numbers("y", np.linspace(0, 1, 200), OUTPUT)
    assert fit_losses([prediction], prediction, labels) is None
