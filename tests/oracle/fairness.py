"""Writes fairness.json: rows, and what fairlearn makes of them. Run it as `make oracle`; it needs fairlearn."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from fairlearn import metrics as peer

HERE = Path(__file__).resolve().parent
SHARED = {
    "demographic_parity_difference": peer.demographic_parity_difference,
    "demographic_parity_ratio": peer.demographic_parity_ratio,
    "equalized_odds_difference": peer.equalized_odds_difference,
    "equalized_odds_ratio": peer.equalized_odds_ratio,
    "equal_opportunity_difference": peer.equal_opportunity_difference,
    "equal_opportunity_ratio": peer.equal_opportunity_ratio,
}
RATES = {
    "selection_rate": peer.selection_rate,
    "true_positive_rate": peer.true_positive_rate,
    "false_positive_rate": peer.false_positive_rate,
}


def case(name: str, draw: np.random.Generator, rows: int, groups: list[str], *, selecting: float) -> dict[str, Any]:
    """Labels, predictions and groups, with the peer's figures of them."""
    label = (draw.random(rows) < 0.4).astype(int)
    group = draw.choice(np.array(groups), size=rows)
    lean = np.array([groups.index(one) for one in group]) / (3 * len(groups))
    said = (draw.random(rows) < selecting * (0.3 + 0.5 * label + lean)).astype(int)
    figures = {key: float(of(label, said, sensitive_features=group)) for key, of in SHARED.items()}
    by_group = peer.MetricFrame(metrics=RATES, y_true=label, y_pred=said, sensitive_features=group).by_group
    return {
        "name": name,
        "label": label.tolist(),
        "prediction": said.tolist(),
        "group": group.tolist(),
        "metrics": figures,
        "groups": {
            str(one): {key: float(by_group.loc[one, key]) for key in RATES} | {"rows": int((group == one).sum())}
            for one in sorted(set(group))
        },
    }


def main() -> None:
    draw = np.random.Generator(np.random.PCG64(2016))
    cases = [
        case("two groups", draw, 120, ["f", "m"], selecting=1.0),
        case("five groups", draw, 200, ["a", "b", "c", "d", "e"], selecting=1.0),
        case("hardly anybody is selected", draw, 150, ["f", "m"], selecting=0.2),
        case("everybody who may is selected", draw, 150, ["f", "m", "x"], selecting=3.0),
        case("nobody is selected", draw, 80, ["f", "m"], selecting=0.0),
        case("one group", draw, 60, ["all"], selecting=1.0),
    ]
    told = {"peer": f"fairlearn {sys.modules['fairlearn'].__version__}", "cases": cases}
    (HERE / "fairness.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
