"""Files of predictions logged from the command line, again without counting twice, and what of them does not fit."""

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from modelog.cli.failures import NOT_FOUND, USAGE
from modelog.sdk import chunks
from tests.cli.line import CommandLine


@pytest.fixture
def version(line: CommandLine, project: str) -> str:
    """Version 1 of the model with a signature; its short name."""
    signature = line.file("signature.json", {"inputs": [{"name": "age", "type": "DATA_TYPE_FLOAT64"}]})
    model = line.file("model.onnx", "weights")
    line("versions", "register", f"{project}/fraud", model, "--signature", f"@{signature}")
    return f"{project}/fraud/1"


@pytest.fixture
def monitor(line: CommandLine, project: str, version: str) -> str:
    """A monitor of what the model scores in batches."""
    model = f"projects/{project}/models/fraud"
    line("monitors", "create", project, "batch", model, "--window-rows", "100", "--check", "volume=5")
    return f"{project}/batch"


def eventually(line: CommandLine, *arguments: Any, wanted: Any) -> Any:
    """The JSON of a command once it is as wanted."""
    deadline = time.monotonic() + 20
    while not wanted(found := line.json(*arguments)):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_a_file_is_logged_once(line: CommandLine, version: str, monitor: str) -> None:
    file = line.file("scored.csv", "age,label\n" + "\n".join(f"{row},1" for row in range(250)))
    told = line.json("monitors", "log", file, "--version", version, "--monitor", monitor, "--output", "label")
    assert (told["rows"], told["repeated"]) == (250, 0)
    again = line("monitors", "log", file, "--version", version, "--output", "label").out
    assert "250 rows" in again
    assert "there already" in again
    windows = eventually(line, "monitors", "windows", monitor, wanted=lambda found: len(found) >= 2)
    assert [one["rows"] for one in windows] == ["100", "100"]


def test_what_does_not_fit_is_told_by_column_and_sent_again(line: CommandLine, version: str, monitor: str) -> None:
    model = f"projects/{monitor.partition('/')[0]}/models/fraud"
    file = line.file("wrong.csv", "age,label\n41,1\nunknown,1\n")
    line("monitors", "log", file, "--version", version, "--output", "label")
    (aside,) = eventually(line, "monitors", "rejected", model, wanted=bool)
    shown = line("monitors", "rejected", model).out
    assert "age: numbers expected, text came" in " ".join(shown.split())
    line("monitors", "retry", model, aside["position"], "--drop", "age")
    assert line.json("monitors", "rejected", model) == []
    assert "put aside" in line("monitors", "retry", model, aside["position"], expect=NOT_FOUND).err


def test_what_cannot_be_logged_is_said_first(line: CommandLine, version: str, monitor: str) -> None:
    file = line.file("scored.csv", "age,label\n1,1\n")
    logged = ["monitors", "log", file, "--version", version]
    assert "not both" in line(*logged, "--monitor", monitor, "--endpoint", "a/b", expect=USAGE).err
    assert "no column z" in line(*logged, "--output", "z", expect=USAGE).err
    assert "no column z" in line(*logged, "--label", "z", "--id-column", "age", expect=USAGE).err
    assert "--id-column" in line(*logged, "--label", "label", expect=USAGE).err
    uneven = line.file("uneven.csv", "a,b\n1,2\n3\n")
    assert "line 3" in line("monitors", "log", uneven, "--version", version, expect=USAGE).err
    assert "what format" in line("monitors", "log", line.file("a.txt", ""), "--version", version, expect=USAGE).err


def test_a_column_of_a_csv_file_is_of_one_type_in_all_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    file = tmp_path / "a.csv"
    file.write_text("n,t\n1,1\n,2\n\n3,x\n")
    found = list(chunks.chunks(file))
    assert [one.total for one in found] == [3, 3]
    assert [list(one.columns["t"]) for one in found] == [["1", "2"], ["x"]]
    assert found[1].columns["n"] == [3.0]


def test_parquet_is_read_by_row_groups(line: CommandLine, version: str, monitor: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "age": pa.array([1, None, 3], pa.int32()),
            "city": pa.array(["Rome", None, "Rome"]).dictionary_encode(),
            "t": pa.array([1, 2, 3], pa.timestamp("s")),
        }
    )
    parquet.write_table(table, tmp_path / "scored.parquet")
    told = line.json("monitors", "log", tmp_path / "scored.parquet", "--version", version)
    assert told["rows"] == 3
