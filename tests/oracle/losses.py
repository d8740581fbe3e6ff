"""Writes losses.npz and losses.json: what NannyML's direct loss estimation expects for the chunks of its car prices.

It needs nannyml. The first rows of the data set are kept, as whole numbers, so that the tests fit on the same ones.
"""

import json
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
REFERENCE, CHUNK, EVERY = 6000, 1000, 5


def main() -> None:
    pd.set_option("future.infer_string", False)  # NannyML's encoder cannot read strings in Arrow.
    reference, analysis, _ = nannyml.load_synthetic_car_price_dataset()
    reference = reference.head(REFERENCE).copy()
    # Chunks from the whole time, before and after its drift.
    analysis = analysis.iloc[:: max(1, len(analysis) // (EVERY * CHUNK))].head(EVERY * CHUNK).copy()
    target, prediction = "y_true", "y_pred"
    features = [one for one in reference.columns if one not in (target, prediction, "timestamp", "id")]
    for frame in (reference, analysis):
        for one in [*features, prediction]:
            if frame[one].dtype.kind == "f":
                frame[one] = frame[one].round()
    peer = nannyml.DLE(
        feature_column_names=features,
        y_pred=prediction,
        y_true=target,
        metrics=["mae", "rmse"],
        chunk_size=CHUNK,
    )
    peer.fit(reference)
    told = peer.estimate(analysis).filter(period="analysis").to_df()
    found = {
        "peer": f"nannyml {nannyml.__version__}",
        "chunk": CHUNK,
        "mae": [float(one) for one in told[("mae", "value")]],
        "rmse": [float(one) for one in told[("rmse", "value")]],
    }
    columns = {}
    for role, frame in (("reference", reference), ("analysis", analysis)):
        for one in [*features, prediction, *([target] if role == "reference" else [])]:
            kind = frame[one].dtype.kind
            columns[f"{role}/{one}"] = frame[one].to_numpy().astype(np.int32 if kind in "iuf" else str)
    np.savez_compressed(HERE / "losses.npz", **columns)
    (HERE / "losses.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
