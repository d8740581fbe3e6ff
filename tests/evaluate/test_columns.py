"""Columns out of files: only the wanted ones, and errors that name line and column."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelog.evaluate import Observations, measure, read_columns
from modelog.evaluate.observed import texts


def written(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_gives_the_wanted_columns_alone(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeffy,p,secret\n1,"0.5",s1\n\n0,0.25,"s,2"\n')
    found = read_columns(path, ["p", "y", "p"])
    assert {name: column.tolist() for name, column in found.items()} == {"p": ["0.5", "0.25"], "y": ["1", "0"]}
    tabs = written(tmp_path, "y\tp\n1\t2\n", "rows.tsv")
    assert read_columns(tabs, ["p"])["p"].tolist() == ["2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 'y' is not there; there are none"),
        ("a,b\n1,2\n", "column 'y' is not there; there are a, b"),
        ("y,y\n1,2\n", "column 'y' is there twice"),
        ("y,p\n1,2\n1\n", "line 3 has 1 cells, the head 2"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_columns(written(tmp_path, text), ["y"])


def test_other_suffixes_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Give \.csv, \.tsv, \.npz or \.parquet"):
        read_columns(written(tmp_path, "", "rows.xls"), ["y"])


def test_npz_is_read_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, y=np.array([1, 0]), p=np.array([0.5, 0.25]), wide=np.zeros((2, 2)))
    assert read_columns(path, ["y", "p"])["p"].tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match="wide has 2 dimensions"):
        read_columns(path, ["wide"])
    np.savez(path, y=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_columns(path, ["y"])


def test_parquet_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match="Parquet needs pyarrow"):
        read_columns(written(tmp_path, "", "rows.parquet"), ["y"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1.0, 0.0, 2.5], ["1", "0", "2.5"]),
        (["1.0", " 0.0 ", "v1.0"], ["1", "0", "v1.0"]),
        ([1, 0], ["1", "0"]),
        ([True, False], ["True", "False"]),
        (np.array(["a", None, ""], dtype=object), ["a", "(missing)", "(missing)"]),
        ([float("nan"), 1.0], ["(missing)", "1"]),
    ],
)
def test_labels_are_the_same_however_a_file_writes_them(column: Any, expected: list[str]) -> None:
    assert texts(column).tolist() == expected


def test_a_file_and_its_columns_give_the_same(tmp_path: Path) -> None:
    rows = [(1, 0.9), (0, 0.2), (1, 0.4), (0, 0.6)]
    path = written(tmp_path, "y,s\n" + "".join(f"{label},{score}\n" for label, score in rows))
    found = read_columns(path, ["y", "s"])
    told = measure(Observations(labels=found["y"], scores=found["s"]))
    assert told == measure(Observations(labels=[label for label, _ in rows], scores=[score for _, score in rows]))
