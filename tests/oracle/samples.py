"""Writes samples.json: what NannyML and scikit-learn make of rows of the data set in losses.npz, taken together.

It needs nannyml, which brings scikit-learn.
"""

import json
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd
import sklearn
from nannyml.drift.multivariate.data_reconstruction.calculator import DataReconstructionDriftCalculator
from nannyml.drift.multivariate.domain_classifier import DomainClassifierCalculator
from scipy.spatial.distance import pdist
from sklearn.ensemble import IsolationForest
from sklearn.metrics.pairwise import rbf_kernel

HERE = Path(__file__).resolve().parent
REFERENCE, CHUNK, VECTORS = 2000, 1000, 300


def discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    """Squared MMD, unbiased, term by term."""
    both = np.vstack((first, second))
    both = both / both.std(axis=0)
    kernel = rbf_kernel(both, gamma=1 / (2 * np.median(pdist(both)) ** 2))
    m, n = len(first), len(second)
    inside, outside, across = kernel[:m, :m], kernel[m:, m:], kernel[:m, m:]
    return float(
        (inside.sum() - np.trace(inside)) / (m * (m - 1))
        + (outside.sum() - np.trace(outside)) / (n * (n - 1))
        - 2 * across.mean()
    )


def main() -> None:
    pd.set_option("future.infer_string", False)
    kept = np.load(HERE / "losses.npz")
    frames = {}
    for role in ("reference", "analysis"):
        names = [one.split("/")[1] for one in kept.files if one.startswith(f"{role}/")]
        features = [one for one in names if one not in ("y_true", "y_pred")]
        frames[role] = pd.DataFrame({one: kept[f"{role}/{one}"] for one in features})
    reference, analysis = frames["reference"].head(REFERENCE), frames["analysis"]
    texts = [one for one in reference.columns if reference[one].dtype.kind not in "iuf"]
    numbers = [one for one in reference.columns if one not in texts]
    for frame in (reference, analysis):
        frame[texts] = frame[texts].astype("category")
    rebuilt = DataReconstructionDriftCalculator(column_names=list(reference.columns), chunk_size=CHUNK)
    rebuilt.fit(reference)
    errors = rebuilt.calculate(analysis).filter(period="analysis").to_df()
    told_apart = DomainClassifierCalculator(feature_column_names=list(reference.columns), chunk_size=CHUNK)
    told_apart.fit(reference)
    areas = told_apart.calculate(analysis).filter(period="analysis").to_df()
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=1).fit(reference[numbers].to_numpy())
    again = IsolationForest(n_estimators=100, max_samples=256, random_state=2).fit(reference[numbers].to_numpy())
    rows = analysis[numbers].to_numpy()[:CHUNK]
    found = {
        "peers": f"nannyml {nannyml.__version__}, scikit-learn {sklearn.__version__}",
        "reference": REFERENCE,
        "chunk": CHUNK,
        "vectors": VECTORS,
        "numbers": numbers,
        "reconstruction": [float(one) for one in errors[("reconstruction_error", "value")]],
        "domain_classifier": [float(one) for one in areas[("domain_classifier_auroc", "value")]],
        "mmd": [
            discrepancy(reference[numbers].to_numpy()[:VECTORS], analysis[numbers].to_numpy()[start : start + VECTORS])
            for start in range(0, len(analysis), CHUNK)
        ],
        "isolation": np.round(-forest.score_samples(rows), 4).tolist(),
        "isolation_of_another_seed": float(np.mean(np.abs(forest.score_samples(rows) - again.score_samples(rows)))),
    }
    (HERE / "samples.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
