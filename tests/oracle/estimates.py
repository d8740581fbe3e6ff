"""Writes estimates.json: what NannyML estimates for the chunks of a data set that it ships. It needs nannyml.

Scores are kept as whole thousandths, so that the file stays small, and NannyML sees the same ones.
"""

import json
from pathlib import Path
from typing import Any

import nannyml

HERE = Path(__file__).resolve().parent
CHUNK, REFERENCE = 5000, 20000
CUT = 0.5
METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


def main() -> None:
    reference, analysis, _ = nannyml.load_synthetic_car_loan_dataset()
    reference = rounded(reference.head(REFERENCE))
    analysis = rounded(analysis)
    peer = nannyml.CBPE(
        y_pred_proba="y_pred_proba",
        y_pred="y_pred",
        y_true="repaid",
        metrics=[*METRICS],
        problem_type="classification_binary",
        chunk_size=CHUNK,
    )
    peer.fit(reference)
    told = peer.estimate(analysis).filter(period="analysis").to_df()
    chunks = [
        {
            "scores": counted(analysis.iloc[at * CHUNK : (at + 1) * CHUNK]["y_pred_proba"]),
            **{metric: float(told[(metric, "value")].iloc[at]) for metric in METRICS},
        }
        for at in range(len(told))
    ]
    found = {
        "peer": f"nannyml {nannyml.__version__}",
        "positives": counted(reference[reference["repaid"] == 1]["y_pred_proba"]),
        "negatives": counted(reference[reference["repaid"] == 0]["y_pred_proba"]),
        "chunks": chunks,
    }
    (HERE / "estimates.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def rounded(frame: Any) -> Any:
    frame = frame.copy()
    frame["y_pred_proba"] = frame["y_pred_proba"].round(3)
    frame["y_pred"] = (frame["y_pred_proba"] >= CUT).astype(int)
    return frame


def counted(scores: Any) -> dict[str, int]:
    """How often each number of thousandths occurs."""
    counts = (scores * 1000).round().astype(int).value_counts().sort_index()
    return {str(score): int(count) for score, count in counts.items()}


if __name__ == "__main__":
    main()
