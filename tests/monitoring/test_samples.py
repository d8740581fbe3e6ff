"""Samples of rows: the same ones however rows come; and the checks on rows against NannyML's and scikit-learn's."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kernel.errors import Invalid
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import reconstruction
from services.monitoring.checks import evaluate
from services.monitoring.domain.checking import complete_checks, refuse_unsampled
from services.monitoring.forest import grow_forest, is_sound_forest, outliers_of, scores_of
from services.monitoring.pieces import Piece, counted
from services.monitoring.profile import Column, capture, layout_of, merge
from services.monitoring.samples import is_sound_sample, merge_samples, without_sample
from services.monitoring.sampling import Sampling, hashes_of_ids, sampling_of
from services.monitoring.telemetry.batches import Predictions
from services.monitoring.telemetry.rows import hashes_of, part_of, rows_of
from services.monitoring.vectors import pair_of, vectors_of
from services.monitoring.windows import Plan
from tests.monitoring.build import ENDPOINT, INPUT, VERSION, check, numbers, texts

ORACLE = Path(__file__).parents[1] / "oracle"
TOLD = json.loads((ORACLE / "samples.json").read_text(encoding="utf-8"))
KEPT = dict(np.load(ORACLE / "losses.npz"))
RANDOM = np.random.default_rng(5)
AGES = RANDOM.normal(40, 10, 1_000)
KINDS = [f"k{one}" for one in RANDOM.integers(0, 4, 1_000)]
IDS = [f"p-{at}" for at in range(1_000)]
SAMPLING = Sampling((((INPUT, "age"), False), ((INPUT, "kind"), True)), 50)


def taken(start: int, stop: int, ids: list[str] = IDS, ages: np.ndarray = AGES) -> types.RowSample:
    columns = [numbers("age", ages[start:stop]), texts("kind", KINDS[start:stop])]
    return SAMPLING.of(columns, hashes_of_ids("b", ids[start:stop], stop - start))


def columns_of(role: str, start: int, stop: int) -> list[Column]:
    """The inputs of the peers' data set."""
    found = []
    for name, values in KEPT.items():
        of, _, column = name.partition("/")
        if of == role and column not in ("y_true", "y_pred"):
            part = values[start:stop]
            found.append(numbers(column, part) if part.dtype.kind in "iuf" else texts(column, part.tolist()))
    return sorted(found, key=lambda one: one.key)


def all_rows_of(columns: list[Column]) -> types.RowSample:
    """All rows of columns, as a sample."""
    kinds = tuple((one.key, one.strings is not None) for one in columns)
    return Sampling(kinds, 2_000).of(columns, hashes_of_ids("b", (), columns[0].rows))


def both_of(window: types.RowSample, baseline: types.RowSample) -> tuple[types.ProfileSet, types.ProfileSet]:
    return (
        types.ProfileSet(rows=len(window.hashes), sample=window),
        types.ProfileSet(rows=len(baseline.hashes), sample=baseline),
    )


REFERENCE = columns_of("reference", 0, TOLD["reference"])
BEFORE = all_rows_of(REFERENCE)
CHUNKS = [columns_of("analysis", at, at + TOLD["chunk"]) for at in range(0, 5_000, TOLD["chunk"])]


@pytest.mark.parametrize("cuts", [(0, 1_000), (0, 1, 1_000), (0, 200, 210, 700, 1_000)])
def test_any_split_and_order_of_the_rows_gives_the_same_sample(cuts: tuple[int, ...]) -> None:
    parts = [taken(*one) for one in pairwise(cuts)]
    for order in (parts, parts[::-1]):
        merged = types.RowSample()
        for one in order:
            merged = merge_samples(merged, one)
        assert merged == taken(0, 1_000)
    assert len(merged.hashes) == 50
    assert is_sound_sample(merged)
    kept = [int(np.flatnonzero(one == AGES)[0]) for one in merged.columns[0].numbers]
    assert [KINDS[at] for at in kept] == list(merged.columns[1].strings)


def test_rows_that_come_twice_are_one_and_those_of_one_id_are_told_by_their_values() -> None:
    assert merge_samples(taken(0, 600), taken(300, 1_000)) == taken(0, 1_000)
    other = taken(0, 100, ages=AGES + 1)
    assert merge_samples(taken(0, 100), other) == merge_samples(other, taken(0, 100))
    assert len(set(merge_samples(taken(0, 100), other).hashes)) == 50


def test_rows_are_drawn_evenly_from_the_whole_window() -> None:
    halves = np.array([taken(0, 1_000, [f"{run}-{at}" for at in range(1_000)]).columns[0].numbers for run in range(40)])
    first = np.isin(halves, AGES[:500]).mean()
    assert first == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(halves.size))


def test_samples_lack_sensitive_columns_and_stay_bounded() -> None:
    layout = layout_of(capture([numbers("age", AGES), texts("kind", KINDS)]))
    assert sampling_of(layout, 0, ()) is None
    sampling = sampling_of(layout, 100, ("kind",))
    assert sampling is not None
    assert [key for key, _ in sampling.columns] == [(INPUT, "age")]
    wide = layout_of(capture([texts(f"c{at}", KINDS) for at in range(100)]))
    fewer = sampling_of(wide, 2_000, ())
    assert fewer is not None
    assert fewer.most_rows == 655
    mistyped = sampling.of([texts("age", KINDS)], hashes_of_ids("b", (), 1_000))
    assert np.isnan(list(mistyped.columns[0].numbers)).all()


def test_samples_merge_with_profiles_and_leave_them_before_the_digest() -> None:
    one, other = (types.ProfileSet(rows=500, sample=taken(*part)) for part in ((0, 500), (500, 1_000)))
    one.outliers.rows, one.outliers.outliers, other.outliers.rows = 500, 3, 500
    merged = merge(merge(types.ProfileSet(), one), other)
    bare, sample = without_sample(merged)
    assert sample == taken(0, 1_000)
    assert not bare.HasField("sample")
    assert (bare.outliers.rows, bare.outliers.outliers) == (1_000, 3)
    with pytest.raises(ValueError, match="different columns"):
        merge_samples(all_rows_of([numbers("x", AGES)]), taken(0, 10))


@pytest.mark.parametrize("ids", [IDS[:100], []])
def test_rows_are_known_by_the_same_hashes_in_windows_and_segments(ids: list[str]) -> None:
    layout = layout_of(capture([numbers("age", AGES)]))
    sampling = sampling_of(layout, 100, ())
    plan = Plan("m", types.WindowSpec(), "", layout, "", frozenset(), sampling=sampling)
    sent = Predictions("b", ENDPOINT, VERSION, 1, 2, 100, ids, [numbers("age", AGES[:100])], 0, 0)
    hashes = hashes_of(plan, sent)
    assert hashes is not None
    places = np.arange(30, 70)
    for rows, cuts, of in (
        (rows_of(plan, sent, 1, hashes), (0, 40, 100), AGES[:100]),
        (rows_of(plan, part_of(sent, places), 1, hashes[places]), (0, 10, 40), AGES[30:70]),
    ):
        parts = [rows.profiles(*one) for one in pairwise(cuts)]
        sample = counted([one for one in parts if isinstance(one, Piece)]).sample
        assert sorted(sample.columns[0].numbers) == sorted(of.tolist())
        known = dict(zip(hashes.tolist(), AGES[:100].tolist(), strict=True))
        assert [known[one] for one in sample.hashes] == list(sample.columns[0].numbers)


def test_unsound_samples_are_known() -> None:
    sound = taken(0, 1_000)
    for field, value in (("hashes", [2, 1]), ("hashes", sound.hashes[:-1])):
        wrong = types.RowSample()
        wrong.CopyFrom(sound)
        del wrong.hashes[:]
        wrong.hashes.extend(value)
        assert not is_sound_sample(wrong), field
    assert is_sound_sample(types.RowSample())


def test_reconstruction_errors_are_nannymls_within_three_thousandths() -> None:
    """NannyML encodes categories and standardises in the same way."""
    for chunk, told in zip(CHUNKS, TOLD["reconstruction"], strict=True):
        pair = pair_of(types.Check(), all_rows_of(chunk), BEFORE)
        before, after = vectors_of(pair, range(len(BEFORE.hashes)))
        errors = reconstruction.errors_of(reconstruction.components_of(before), after)
        assert float(np.mean(errors)) == pytest.approx(told, abs=0.003)


def test_reconstruction_fails_where_nannymls_errors_moved_and_nowhere_else() -> None:
    outcomes = [
        evaluate(check(types.METHOD_PCA_RECONSTRUCTION, 3.0), *both_of(all_rows_of(chunk), BEFORE)).outcome
        for chunk in CHUNKS
    ]
    moved = [abs(one - TOLD["reconstruction"][0]) > 0.1 for one in TOLD["reconstruction"]]
    assert [one == types.OUTCOME_FAILED for one in outcomes] == moved


def test_rows_are_told_apart_as_well_as_by_nannyml() -> None:
    for chunk, told in zip(CHUNKS, TOLD["domain_classifier"], strict=True):
        result = evaluate(check(types.METHOD_DOMAIN_CLASSIFIER, 0.6), *both_of(all_rows_of(chunk), BEFORE))
        assert result.statistic == pytest.approx(told, abs=0.06)
        assert result.interval.low < result.statistic < result.interval.high
        assert (result.outcome == types.OUTCOME_FAILED) == (told > 0.6)


def test_a_change_of_how_columns_go_together_is_told_though_each_column_stays() -> None:
    first, second = RANDOM.normal(size=(2, 600))
    before = all_rows_of([numbers("a", first), numbers("b", first + 0.2 * second)])
    window = all_rows_of([numbers("a", second), numbers("b", RANDOM.permutation(first + 0.2 * second))])
    for method, threshold in (
        (types.METHOD_DOMAIN_CLASSIFIER, 0.7),
        (types.METHOD_PCA_RECONSTRUCTION, 3.0),
        (types.METHOD_MMD, 0.005),
    ):
        assert evaluate(check(method, threshold), *both_of(window, before)).outcome == types.OUTCOME_FAILED


def test_mmd_is_that_of_scikit_learns_kernel() -> None:
    names = TOLD["numbers"]
    before = all_rows_of([one for one in columns_of("reference", 0, TOLD["vectors"]) if one.name in names])
    for at, told in enumerate(TOLD["mmd"]):
        start = at * TOLD["chunk"]
        window = all_rows_of(
            [one for one in columns_of("analysis", start, start + TOLD["vectors"]) if one.name in names]
        )
        result = evaluate(check(types.METHOD_MMD, 0.01, significance=0.05), *both_of(window, before))
        assert result.statistic == pytest.approx(told, rel=1e-3, abs=1e-6)
        assert (result.p_value < 0.05) == (told > 0.01)
        assert (result.outcome == types.OUTCOME_FAILED) == (told > 0.01)


def test_p_values_of_mmd_are_even_when_nothing_changed() -> None:
    found = []
    for _ in range(60):
        both = [all_rows_of([numbers(name, RANDOM.normal(size=40)) for name in ("e1", "e2")]) for _ in range(2)]
        found.append(evaluate(check(types.METHOD_MMD, 0.0), *both_of(*both)).p_value)
    assert np.mean(found) == pytest.approx(0.5, abs=4 * 0.29 / np.sqrt(60))
    assert np.mean(np.array(found) < 0.1) < 0.3


def test_a_monitor_compares_rows_by_few_checks() -> None:
    asked = [check(types.METHOD_MMD, 0.1, id=f"mmd-{at}") for at in range(5)]
    assert len(complete_checks(asked[:4])) == 4
    with pytest.raises(Invalid, match="5 compare rows"):
        complete_checks(asked)


def test_checks_want_no_more_rows_than_are_kept() -> None:
    (asked,) = complete_checks([check(types.METHOD_MMD, 0.1, minimum_rows=0)])
    refuse_unsampled(types.WindowSpec(sample_rows=100), [asked])
    with pytest.raises(Invalid, match="wants 100 rows and gets at most 50"):
        refuse_unsampled(types.WindowSpec(sample_rows=50), [asked])


def test_mmd_looks_at_the_rows_of_the_smallest_hashes() -> None:
    many, window = (all_rows_of([numbers("a", RANDOM.normal(size=size))]) for size in (1_500, 300))
    first = types.RowSample(most_rows=1_000, hashes=many.hashes[:1_000])
    first.columns.add(role=INPUT, name="a", numbers=many.columns[0].numbers[:1_000])
    asked = check(types.METHOD_MMD, 0.1)
    one, other = (evaluate(asked, *both_of(window, of)) for of in (many, first))
    assert (one.p_value, one.statistic) == (other.p_value, other.statistic)


def test_columns_are_named_by_what_they_begin_with() -> None:
    before = all_rows_of([numbers("age", AGES), numbers("e_0", AGES), numbers("e_1", AGES * 2)])
    pair = pair_of(types.Check(columns=["e_*"]), before, before)
    assert [one.name for one in pair.baseline] == ["e_0", "e_1"]
    result = evaluate(check(types.METHOD_MMD, 0.1, columns=["f_*"]), *both_of(before, before))
    assert (result.outcome, result.explanation) == (types.OUTCOME_INCONCLUSIVE, "no column f_*")


def test_what_is_missing_is_told() -> None:
    window, baseline = both_of(taken(0, 1_000), taken(0, 1_000))
    asked = check(types.METHOD_DOMAIN_CLASSIFIER, 0.6)
    without, _ = without_sample(window)
    assert evaluate(asked, without, baseline).explanation == "no rows of the window are kept"
    assert "brings some with sample_rows" in evaluate(asked, window, None).explanation
    few = both_of(taken(0, 5), taken(0, 1_000))
    assert evaluate(asked, *few).outcome == types.OUTCOME_INCONCLUSIVE
    assert evaluate(asked, types.ProfileSet(), baseline).outcome == types.OUTCOME_NO_DATA


def test_isolation_scores_are_scikit_learns_as_far_as_its_own_seeds_agree() -> None:
    known = [one for one in REFERENCE if one.name in TOLD["numbers"]]
    forest = grow_forest(known, 0.01)
    assert forest is not None
    assert is_sound_forest(forest)
    ready = outliers_of(types.ProfileSet(forest=forest))
    assert ready is not None
    order = [one.name for one in forest.features]
    chunk = {one.name: one.numbers for one in CHUNKS[0]}
    lengths = ready.lengths(np.stack([chunk[name] for name in order]))
    scores, told = scores_of(lengths, forest.tree_rows, len(forest.trees)), np.array(TOLD["isolation"])
    assert np.mean(np.abs(scores - told)) < 2 * TOLD["isolation_of_another_seed"]
    assert np.corrcoef(scores, told)[0, 1] > 0.9


def test_rows_that_stand_alone_are_counted_beyond_the_baselines_own_share() -> None:
    columns = [numbers("a", RANDOM.normal(size=4_000)), texts("kind", ["x"] * 3_999 + ["y"])]
    forest = grow_forest(columns, 0.02)
    assert forest == grow_forest(columns, 0.02)
    assert forest is not None
    assert forest.ByteSize() < 100_000
    ready = outliers_of(types.ProfileSet(forest=forest))
    assert ready is not None
    assert 0.01 < ready.counted(columns, 4_000).outliers / 4_000 <= 0.02
    odd = [numbers("a", np.append(RANDOM.normal(size=90), np.full(10, 9.0))), texts("kind", ["x"] * 100)]
    counted = ready.counted(odd, 100)
    assert 10 <= counted.outliers <= 16
    split = [ready.counted([one.part(*part) for one in odd], 50) for part in ((0, 50), (50, 100))]
    assert sum(one.outliers for one in split) == counted.outliers
    result = evaluate(check(types.METHOD_OUTLIER_SHARE, 0.05), types.ProfileSet(rows=100, outliers=counted), None)
    assert result.outcome == types.OUTCOME_FAILED
    assert result.interval.low < result.statistic < result.interval.high
    none = evaluate(check(types.METHOD_OUTLIER_SHARE, 0.05), types.ProfileSet(rows=100), None)
    assert "outlier_share" in none.explanation
    assert ready.counted([], 3).rows == 3
    assert grow_forest([numbers("a", [1.0] * 50)], 0.02) is None


def test_unsound_forests_are_known() -> None:
    forest = grow_forest([numbers("a", RANDOM.normal(size=200))], 0.05)
    assert forest is not None
    for wrong in ([1, 0], [2, 0, 0], [1] * 9 + [0] * 10):
        broken = types.Forest()
        broken.CopyFrom(forest)
        broken.trees[0].asked[:] = wrong
        broken.trees[0].thresholds[:] = [0.0] * sum(map(bool, wrong))
        broken.trees[0].rows[:] = [1] * wrong.count(0)
        assert not is_sound_forest(broken), wrong
