"""The demo's models: trained on a data set that ships inside scikit-learn, exported to ONNX.

Breast cancer Wisconsin (diagnostic): 569 biopsies, 30 numbers each, malignant or not. Label 1 is malignant here.
"""

import csv
import hashlib
import io
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_SEED = 7
# A new scanner measures lengths this much larger; areas follow with the square.
_STRETCH = 1.3


class Data(NamedTuple):
    """Biopsies. rows: [n, 30] in the order of columns. labels: [n], 1 for malignant."""

    columns: tuple[str, ...]
    rows: Rows
    labels: Labels


class Parts(NamedTuple):
    """The data cut once, at random but always the same, with the same share of malignant ones in each part."""

    training: Data
    holdout: Data
    live: Data


def parts() -> Parts:
    """284 rows to learn from, 142 to measure on, 143 that patients will come with."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    loaded = load_breast_cancer()
    columns = tuple(str(name).replace(" ", "_") for name in loaded.feature_names)
    # The set counts benign ones; the model is to find the others.
    rows, labels = loaded.data.astype(np.float32), 1 - loaded.target.astype(np.int64)
    rest = [rows, labels]
    cut: list[Data] = []
    for share in (0.5, 0.5):
        taken_rows, rest_rows, taken_labels, rest_labels = train_test_split(
            *rest, train_size=share, random_state=_SEED, stratify=rest[1]
        )
        cut.append(Data(columns, taken_rows, taken_labels))
        rest = [rest_rows, rest_labels]
    return Parts(cut[0], cut[1], Data(columns, rest[0], rest[1]))


def shifted(data: Data) -> Data:
    """The same biopsies as the new scanner sees them: 12 of the 30 columns are stretched."""
    factors = np.ones(len(data.columns), dtype=np.float32)
    for index, column in enumerate(data.columns):
        if "radius" in column or "perimeter" in column:
            factors[index] = _STRETCH
        elif "area" in column:
            factors[index] = _STRETCH**2
    return data._replace(rows=data.rows * factors)


def joined(*several: Data) -> Data:
    return Data(
        several[0].columns,
        np.concatenate([one.rows for one in several]),
        np.concatenate([one.labels for one in several]),
    )


def fit(data: Data, *, strength: float) -> Any:
    """A logistic regression on standardized columns; `strength` is the inverse of the regularisation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=strength, max_iter=5000, random_state=_SEED)
    return make_pipeline(StandardScaler(), model).fit(data.rows, data.labels)


def export(pipeline: Any, *, batch_rows: int | None = None) -> bytes:
    """The pipeline as ONNX: `X` [n, 30] in, `label` [n] and `probabilities` [n, 2] out.

    batch_rows fixes n, the mistake of exporting with the batch that was at hand: the model is right on batches of just
    this size and refuses every other.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    width = pipeline.n_features_in_
    exported = to_onnx(
        pipeline,
        initial_types=[("X", FloatTensorType([batch_rows, width]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=18,
    )
    content: bytes = exported.SerializeToString(deterministic=True)
    return content


def run(model: bytes, rows: Rows) -> tuple[Labels, Rows]:
    """What the exported model itself answers: labels [n], probabilities of being malignant [n]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(["label", "probabilities"], {"X": rows})
    return labels, probabilities[:, 1]


def as_csv(data: Data) -> bytes:
    """The data as a file, always the same bytes for the same data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*data.columns, "malignant"])
    for row, label in zip(data.rows.tolist(), data.labels.tolist(), strict=True):
        writer.writerow([*(repr(value) for value in row), label])
    return text.getvalue().encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
