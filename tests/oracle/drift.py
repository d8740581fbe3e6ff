"""Writes drift.json: columns of a data set that scikit-learn ships, cut in two, and what Evidently makes of them.

It needs evidently, and pandas below 3.
"""

import json
from pathlib import Path
from typing import Any

import evidently
import numpy as np
import pandas as pd
from evidently.legacy.calculations import stattests
from evidently.legacy.core import ColumnType
from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).resolve().parent
NUMBERS = {"mean radius": 3, "mean texture": 3, "worst area": 1, "mean concave points": 5, "area error": 3}
REFERENCE = 300


def column(values: Any, kind: ColumnType, tests: dict[str, Any]) -> dict[str, Any]:
    """The values, and the peer's figures of them."""
    reference, current = pd.Series(values[:REFERENCE]), pd.Series(values[REFERENCE:])
    told = {name: float(test(reference, current, kind, 0.05).drift_score) for name, test in tests.items()}
    return {"reference": reference.tolist(), "current": current.tolist(), "told": told}


def main() -> None:
    data = load_breast_cancer(as_frame=True).frame
    of_numbers = {"wasserstein": stattests.wasserstein_stat_test, "ks_p_value": stattests.ks_stat_test}
    of_categories = {
        "jensen_shannon": stattests.jensenshannon_stat_test,
        "hellinger": stattests.hellinger_stat_test,
        "psi": stattests.psi_stat_test,
        "kullback_leibler": stattests.kl_div_stat_test,
    }
    columns = {
        name: column(np.round(data[name].to_numpy(), digits), ColumnType.Numerical, of_numbers)
        for name, digits in NUMBERS.items()
    }
    bands = np.array(["small", "medium", "large"])[np.digitize(data["mean radius"].to_numpy(), [12, 15])]
    columns["size"] = column(bands, ColumnType.Categorical, of_categories)
    told = {"peer": f"evidently {evidently.__version__}", "columns": columns}
    (HERE / "drift.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
