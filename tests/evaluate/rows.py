"""Rows to measure, the same in every run: a score that is good, not perfect, and treats groups differently."""

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = dict[str, npt.NDArray[Any]]


def binary(rows: int = 600, seed: int = 7, *, ties: bool = False) -> Rows:
    """label and prediction as "0" and "1", score, sex of three groups, region, age."""
    draw = np.random.Generator(np.random.PCG64(seed))
    label = draw.random(rows) < 0.35
    sex = draw.choice(np.array(["f", "m", "x"]), size=rows, p=[0.48, 0.47, 0.05])
    shift = np.where(sex == "f", -0.3, 0.2)
    score = 1 / (1 + np.exp(-(1.6 * (label - 0.5) + shift + draw.normal(size=rows))))
    if ties:
        score = np.round(score, 1)
    return {
        "label": label.astype(int).astype(str),
        "prediction": (score >= 0.5).astype(int).astype(str),
        "score": score,
        "sex": sex,
        "region": draw.choice(np.array(["eu", "us"]), size=rows),
        "age": draw.integers(18, 90, size=rows),
    }


def classes(rows: int = 500, seed: int = 3) -> Rows:
    """label and prediction of four labels of unequal size, one of which is never predicted."""
    draw = np.random.Generator(np.random.PCG64(seed))
    names = np.array(["ant", "bee", "cow", "dog"])
    label = draw.choice(names, size=rows, p=[0.5, 0.3, 0.18, 0.02])
    prediction = np.where(draw.random(rows) < 0.75, label, draw.choice(names, size=rows))
    return {"label": label, "prediction": np.where(prediction == "dog", "ant", prediction)}


def amounts(rows: int = 400, seed: int = 5) -> Rows:
    """label and prediction as numbers, none 0."""
    draw = np.random.Generator(np.random.PCG64(seed))
    label = draw.normal(100, 20, size=rows)
    return {"label": label, "prediction": label + draw.normal(1, 8, size=rows), "plant": np.arange(rows) % 3}
