"""What is found out about a model before it answers anybody."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.deployment.drivers.port import State
from services.deployment.inference.model import ModelRefused, load
from services.deployment.inference.order import ArtifactRefused, Column
from tests.deployment import models
from tests.deployment.calls import acall, eventually
from tests.deployment.conftest import Plane
from tests.deployment.replicas import order

SCORE = (Column("score"),)
PATH = "/v2/models/fraud/infer"


def refused(folder: Path, content: bytes, says: str, **values: Any) -> None:
    with pytest.raises(ModelRefused, match=says):
        load(order(folder, content, **values))


def test_numbers_that_are_never_finite_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, models.nonsense(), "nonsense: output score is not a finite number on any of 3")


def test_a_model_that_is_not_finite_somewhere_is_served(tmp_path: Path) -> None:
    model = load(order(tmp_path, models.logarithm()))
    assert not np.isfinite(model.run({"X": np.zeros((1, 3), dtype=np.float32)})[0]).all()
    assert model.alone == ""


def test_answers_that_do_not_fit_the_signature_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, models.one_line(), r"score has shape \[\] for 3 rows", outputs=SCORE)
    text = (Column("score", "BYTES"),)
    refused(tmp_path, models.logarithm(), "promised as BYTES, the model answers float32", outputs=text)
    assert load(order(tmp_path, models.classifier(), outputs=(Column("label", "FP32"),))).alone == ""
    assert load(order(tmp_path, models.one_line(), inputs=(), outputs=SCORE)).alone != ""


def test_only_rows_that_do_not_depend_on_each_other_run_together(tmp_path: Path) -> None:
    for fit in (models.classifier(), models.per_column(), models.dense(8, 2)):
        inputs = order(tmp_path, fit).inputs if fit != models.dense(8, 2) else ()
        assert load(order(tmp_path, fit, inputs=inputs)).alone == ""
    assert "depends on the rows beside it" in load(order(tmp_path, models.relative())).alone
    assert "made-up input" in load(order(tmp_path, models.failing())).alone


def test_a_slow_model_is_not_tried_for_long(tmp_path: Path) -> None:
    model = load(order(tmp_path, models.slow(500_000_000)))  # Minutes, if it were let.
    assert model.alone


def test_weights_that_nobody_approved_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = models.weights_elsewhere(tmp_path)
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, content, "cannot load")


def test_what_was_verified_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is swapped right after it was read changes nothing, and the next start refuses it."""
    given = order(tmp_path, models.classifier())
    read = Path(given.artifact)
    rows = {"X": np.array([[30.0, 2.0, 1.0]], dtype=np.float32)}
    before = load(given).run(rows)
    monkeypatch.setattr("services.deployment.inference.model.ort.SessionOptions", _swapping(read))
    assert load(given).run(rows)[0].tolist() == before[0].tolist()
    with pytest.raises(ArtifactRefused, match="was approved"):
        load(given)


def _swapping(path: Path) -> Any:
    from onnxruntime import SessionOptions

    def options() -> Any:
        path.write_bytes(models.classifier(bias=1000.0))
        return SessionOptions()

    return options


async def test_a_swapped_artifact_is_not_started_again_and_says_why(plane: Plane) -> None:
    workload = plane.workload(1, models.classifier())
    (where,) = await plane.ready(workload)
    stored = plane.folder / "artifacts" / "sha256" / workload.sha256
    stored.write_bytes(models.classifier(bias=3.0))
    assert (await acall(where, PATH, models.request([[1.0, 2.0, 3.0]])))[0] == 200
    await plane.driver.drain(workload.key)

    async def refused_again() -> bool:
        await plane.driver.apply(workload)
        (one,) = await plane.seen(workload)
        return one.state is State.REFUSED and one.artifact and "was approved" in one.problem

    await eventually(refused_again)


async def test_nonsense_is_refused_in_words(plane: Plane) -> None:
    workload = plane.workload(1, models.nonsense())

    async def told() -> bool:
        await plane.driver.apply(workload)
        (one,) = await plane.seen(workload)
        return one.state is State.REFUSED and not one.artifact and "answers nonsense" in one.problem

    await eventually(told)
