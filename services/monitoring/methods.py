"""What can be checked: each method with its version, what it looks at, and which way is bad."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import (
    classwise,
    discrepancy,
    distances,
    drift,
    estimated,
    expected,
    foreseen,
    forest,
    groups,
    labelled,
    quality,
    ranking,
    reconstruction,
    series,
    service,
    statistics,
    telling,
)
from services.monitoring.measures import Measure

OfWindow = Callable[[types.Check, types.ProfileSet], Measure]
OfColumn = Callable[[types.Check, types.Profile], Measure]
Compared = Callable[[types.Check, types.Profile, types.Profile], Measure]

Estimated = Callable[[types.Check, types.Profile, types.Performance], Measure]
Sampled = Callable[[types.Check, types.RowSample, types.RowSample], Measure]

NUMBERS = frozenset({"numbers"})
CATEGORIES = frozenset({"categories"})
BOTH = NUMBERS | CATEGORIES


class Method(NamedTuple):
    """of_window, of_column, compared, estimated, sampled: how it is computed, exactly one unless `checks` does it.

    kinds: columns meant when none are named. share: its threshold is 0 to 1. bins, significance, labels: which
    parameters of a check it heeds.
    """

    version: str
    of_window: OfWindow | None = None
    of_column: OfColumn | None = None
    compared: Compared | None = None
    estimated: Estimated | None = None
    track: types.Track = types.TRACK_PREDICTIONS
    by_column: bool = False
    low_is_bad: bool = False
    share: bool = True
    kinds: frozenset[str] = BOTH
    bins: bool = False
    significance: bool = False
    cut: bool = False
    positive: bool = False
    explains: bool = False
    groups: bool = False
    sampled: Sampled | None = None


def _drift(version: str, compared: Compared, **fields: bool | frozenset[str]) -> Method:
    return Method(version, compared=compared, by_column=True, **fields)  # type: ignore[arg-type]


def _over_parts(version: str, distance: drift.Distance, *, share: bool = True) -> Method:
    explains = version != "psi/1"  # Which is recorded without, and has to be the same when it is computed again.
    return _drift(version, drift.over_parts(distance), share=share, bins=True, explains=explains)


def _labelled(version: str, measure: OfWindow, **fields: bool) -> Method:
    return Method(version, of_window=measure, track=types.TRACK_LABELS, **fields)  # type: ignore[arg-type]


def _column(version: str, measure: OfColumn) -> Method:
    return Method(version, of_column=measure, by_column=True)


def _expected(version: str, estimate: Estimated, *, cut: bool = True) -> Method:
    return Method(version, estimated=estimate, by_column=True, low_is_bad=True, kinds=NUMBERS, cut=cut)


def _grouped(
    version: str, measure: OfWindow, *, track: types.Track = types.TRACK_PREDICTIONS, low_is_bad: bool = False
) -> Method:
    return Method(version, of_window=measure, track=track, low_is_bad=low_is_bad, cut=True, positive=True, groups=True)


METHODS: dict[types.Method, Method] = {
    types.METHOD_PSI: _over_parts("psi/1", statistics.population_stability_index, share=False),
    types.METHOD_KOLMOGOROV_SMIRNOV: _drift(
        "kolmogorov-smirnov/2 p-value kolmogorov-stephens/1",
        drift.kolmogorov_smirnov,
        kinds=NUMBERS,
        significance=True,
        explains=True,
    ),
    types.METHOD_ACCURACY: _labelled("accuracy/2", labelled.accuracy, low_is_bad=True),
    types.METHOD_MISSING_SHARE: _column("missing-share/1", quality.missing_share),
    types.METHOD_ERROR_RATE: Method("error-rate/1", of_window=quality.error_rate),
    types.METHOD_VOLUME: Method("volume/1", of_window=quality.volume, low_is_bad=True, share=False),
    types.METHOD_WASSERSTEIN: _drift("wasserstein/1", drift.wasserstein, kinds=NUMBERS, share=False, explains=True),
    types.METHOD_JENSEN_SHANNON: _over_parts("jensen-shannon/1", distances.jensen_shannon),
    types.METHOD_HELLINGER: _over_parts("hellinger/1", distances.hellinger),
    types.METHOD_KULLBACK_LEIBLER: _over_parts("kullback-leibler/1", distances.kullback_leibler, share=False),
    types.METHOD_CHI_SQUARE: _drift("chi-square/1", drift.chi_square, bins=True, significance=True, explains=True),
    types.METHOD_TOTAL_VARIATION: _over_parts("total-variation/1", distances.total_variation),
    types.METHOD_L_INFINITY: _over_parts("l-infinity/1", distances.l_infinity),
    types.METHOD_DRIFT: _drift("drift/1", drift.by_default, bins=True, significance=True, share=False, explains=True),
    types.METHOD_DATASET_DRIFT: Method(
        "dataset-drift/1 benjamini-hochberg/1", by_column=True, bins=True, significance=True, explains=True
    ),
    types.METHOD_OUT_OF_RANGE_SHARE: _drift("out-of-range-share/1", quality.out_of_range_share, kinds=NUMBERS),
    types.METHOD_UNSEEN_SHARE: _drift("unseen-share/1", quality.unseen_share, kinds=CATEGORIES),
    types.METHOD_INVALID_SHARE: _column("invalid-share/1", quality.invalid_share),
    types.METHOD_CONSTANT: _drift("constant/1", quality.constant),
    types.METHOD_DUPLICATE_SHARE: Method("duplicate-share/1", of_window=quality.duplicate_share),
    types.METHOD_SCHEMA: _column("schema/1", quality.schema),
    types.METHOD_FRESHNESS: Method("freshness/1", share=False),
    types.METHOD_PRECISION: _labelled("precision/1", labelled.precision, low_is_bad=True, cut=True, positive=True),
    types.METHOD_RECALL: _labelled("recall/1", labelled.recall, low_is_bad=True, cut=True, positive=True),
    types.METHOD_F1: _labelled("f1/1", labelled.f1, low_is_bad=True, cut=True, positive=True),
    types.METHOD_ROC_AUC: _labelled("roc-auc/1", labelled.auc, low_is_bad=True),
    types.METHOD_PR_AUC: _labelled("pr-auc/1", labelled.pr_auc, low_is_bad=True),
    types.METHOD_LOG_LOSS: _labelled("log-loss/1", labelled.log_loss, share=False),
    types.METHOD_BRIER: _labelled("brier/1", labelled.brier),
    types.METHOD_CALIBRATION_ERROR: _labelled("calibration-error/1", labelled.calibration_error),
    types.METHOD_MAE: _labelled("mae/1", labelled.mae, share=False),
    types.METHOD_RMSE: _labelled("rmse/1", labelled.rmse, share=False),
    types.METHOD_MAPE: _labelled("mape/1", labelled.mape, share=False),
    types.METHOD_R2: _labelled("r2/1", labelled.r2, low_is_bad=True),
    types.METHOD_ESTIMATED_ACCURACY: Method(
        "estimated-accuracy/1", estimated=estimated.accuracy, by_column=True, low_is_bad=True, kinds=NUMBERS, cut=True
    ),
}
METHODS |= {
    types.METHOD_BALANCED_ACCURACY: _labelled("balanced-accuracy/1", classwise.balanced_accuracy, low_is_bad=True),
    types.METHOD_MATTHEWS_CORRELATION: _labelled("matthews-correlation/1", classwise.matthews, low_is_bad=True),
    types.METHOD_MACRO_F1: _labelled("macro-f1/1", classwise.macro_f1, low_is_bad=True),
    types.METHOD_ESTIMATED_PRECISION: _expected("estimated-precision/1", expected.precision),
    types.METHOD_ESTIMATED_RECALL: _expected("estimated-recall/1", expected.recall),
    types.METHOD_ESTIMATED_F1: _expected("estimated-f1/1", expected.f1),
    types.METHOD_ESTIMATED_ROC_AUC: _expected("estimated-roc-auc/1", expected.roc_auc, cut=False),
    types.METHOD_ESTIMATED_MAE: Method("estimated-mae/1", of_window=foreseen.mae, share=False),
    types.METHOD_ESTIMATED_RMSE: Method("estimated-rmse/1", of_window=foreseen.rmse, share=False),
    types.METHOD_DEMOGRAPHIC_PARITY_DIFFERENCE: _grouped(
        "demographic-parity-difference/1", groups.demographic_parity_difference
    ),
    types.METHOD_DEMOGRAPHIC_PARITY_RATIO: _grouped(
        "demographic-parity-ratio/1", groups.demographic_parity_ratio, low_is_bad=True
    ),
    types.METHOD_EQUAL_OPPORTUNITY_DIFFERENCE: _grouped(
        "equal-opportunity-difference/1", groups.equal_opportunity_difference, track=types.TRACK_LABELS
    ),
    types.METHOD_EQUALIZED_ODDS_DIFFERENCE: _grouped(
        "equalized-odds-difference/1", groups.equalized_odds_difference, track=types.TRACK_LABELS
    ),
    types.METHOD_LATENCY_QUANTILE: Method("latency-quantile/1", of_window=service.latency_quantile, share=False),
    types.METHOD_SATURATION: Method("saturation/1", of_window=service.saturation),
    types.METHOD_NDCG: _labelled("ndcg/1", ranking.ndcg, low_is_bad=True),
}
METHODS |= {  # Their track is that of the method they watch; see `track_of`.
    types.METHOD_PAGE_HINKLEY: Method("page-hinkley/1", share=False),
    types.METHOD_ADWIN: Method("adwin/1"),
    types.METHOD_DDM: Method("ddm/1", share=False),
    types.METHOD_ANOMALY: Method("robust-z-score/1", share=False),
}


METHODS |= {
    types.METHOD_DOMAIN_CLASSIFIER: Method("domain-classifier/1", sampled=telling.domain_classifier),
    types.METHOD_PCA_RECONSTRUCTION: Method(
        "pca-reconstruction/1", sampled=reconstruction.pca_reconstruction, share=False
    ),
    types.METHOD_MMD: Method("mmd/1", sampled=discrepancy.mmd, share=False, significance=True),
    types.METHOD_OUTLIER_SHARE: Method("outlier-share/1 isolation-forest/1", of_window=forest.outlier_share),
}


EXPECT_ERRORS = (types.METHOD_ESTIMATED_MAE, types.METHOD_ESTIMATED_RMSE)


def computed(check: types.Check) -> types.Method:
    """What a check computes of a window: its own method, or the one whose series it follows."""
    return check.watched if check.method in series.METHODS else check.method


def sensitive_of(checks: Iterable[types.Check]) -> tuple[str, ...]:
    """The columns whose groups are counted, ascending."""
    return tuple(sorted({check.sensitive for check in checks if check.sensitive}))


def beside_of(checks: Iterable[types.Check]) -> tuple[str, ...]:
    """What windows count beside columns for these checks, in words."""
    computes = {computed(check) for check in checks}
    losses = ("losses",) if computes & set(EXPECT_ERRORS) else ()
    queries = ("queries",) if types.METHOD_NDCG in computes else ()
    outliers = ("outliers",) if types.METHOD_OUTLIER_SHARE in computes else ()
    return (*losses, *queries, *outliers, *sensitive_of(checks))


def needs_sample(check: types.Check) -> bool:
    """Whether a check looks at sampled rows."""
    return METHODS[computed(check)].sampled is not None


def compares(method: types.Method) -> bool:
    """Whether it holds the columns of a window against those of the baseline."""
    return METHODS[method].compared is not None or method == types.METHOD_DATASET_DRIFT


def track_of(check: types.Check) -> types.Track:
    """Which windows a check looks at."""
    return METHODS[computed(check)].track


# Computed from a window as such, whose absence of rows says something too.
ALSO_WHEN_EMPTY = (types.METHOD_VOLUME, types.METHOD_FRESHNESS)
