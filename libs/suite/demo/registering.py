"""Step 1: train a model, export it, store it by its digest, and register it with everything it was made from."""

import asyncio
from importlib.metadata import version as installed
from pathlib import Path

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.types_pb2 import (
    DATA_TYPE_FLOAT32,
    DATA_TYPE_INT64,
    Column,
    DataSet,
    GitSource,
    ModelDetails,
    Signature,
)
from modelog.sdk import git_source, upload_artifact
from suite.demo import granting, train
from suite.demo.evaluate import evaluation
from suite.demo.stage import ADA, PETRA, Stage
from suite.demo.train import Data


async def play(stage: Stage) -> str:
    registry, names = stage.client.registry, stage.names
    created = await registry.CreateProject(
        rpc.CreateProjectRequest(
            project_id=names.project.rpartition("/")[2],
            title="Oncology",
            description="Models that help to tell malignant biopsies from benign ones.",
        ),
        metadata=stage.by(PETRA),
    )
    stage.report.check("the play has a project of its own", names.project, created.name)
    await granting.play(stage)
    details = ModelDetails(
        title="Tumor",
        task="binary-classification",
        description="Tells from 30 measurements of a biopsy's cell nuclei whether it is malignant.",
        owners=[ADA],
    )
    await registry.CreateModel(
        rpc.CreateModelRequest(parent=names.project, model_id="tumor", details=details), metadata=stage.by(ADA)
    )
    await register(stage, 1, stage.parts.training, "biopsies of the old scanner", strength=1.0)
    return (
        f"a logistic regression over {len(stage.parts.training.columns)} columns, trained on "
        f"{len(stage.parts.training.labels)} rows, is version 1: {len(stage.models[1])} bytes of ONNX"
    )


async def register(
    stage: Stage,
    number: int,
    data: Data,
    described: str,
    *,
    strength: float,
    batch_rows: int | None = None,
    parent: str = "",
    answers: str = "",
) -> None:
    """Trains on `data` and registers the outcome, which has to become version `number`."""
    stage.note(f"training version {number} on {len(data.labels)} rows")
    pipeline = await asyncio.to_thread(train.fit, data, strength=strength)
    model = await asyncio.to_thread(train.export, pipeline, batch_rows=batch_rows)
    stage.models[number] = model
    artifact = upload_artifact(_file(stage, f"tumor-{number}.onnx", model), folder=stage.artifacts)
    request = rpc.RegisterVersionRequest(
        parent=stage.names.model,
        artifact=artifact,
        signature=signature(data),
        source=_source(),
        training_data=[data_set(stage, data, described)],
        hyperparameters={"C": f"{strength:g}", "solver": "lbfgs", "scaler": "standard"},
        framework=f"scikit-learn {installed('scikit-learn')}",
        parent_version=parent,
        answers=answers,
    )
    registered = await stage.client.registry.RegisterVersion(request, metadata=stage.by(ADA))
    stage.report.check(f"version {number} has the next number", stage.names.version(number), registered.name)


async def measure(stage: Stage, number: int, evaluation_id: str, data: Data, *, threshold: float = 0.5) -> None:
    """Runs the exported model on data it has not seen and records how it does."""
    described = f"rows kept back, {evaluation_id}"
    measured = await asyncio.to_thread(
        evaluation, stage.models[number], data, data_set(stage, data, described), threshold=threshold
    )
    request = rpc.RecordEvaluationRequest(
        name=stage.names.version(number), evaluation_id=evaluation_id, evaluation=measured
    )
    await stage.client.registry.RecordEvaluation(request, metadata=stage.by(ADA))


def data_set(stage: Stage, data: Data, described: str) -> DataSet:
    """Stores the rows by their digest, and says where."""
    content = train.as_csv(data)
    stored = upload_artifact(_file(stage, f"{train.digest(content)[:12]}.csv", content), folder=stage.artifacts)
    return DataSet(name="breast-cancer-wisconsin", uri=stored.uri, sha256=stored.sha256, description=described)


def signature(data: Data) -> Signature:
    """One number a column in; the label and both probabilities out."""
    return Signature(
        inputs=[Column(name=name, type=DATA_TYPE_FLOAT32) for name in data.columns],
        outputs=[
            Column(name="label", type=DATA_TYPE_INT64),
            Column(name="probabilities", type=DATA_TYPE_FLOAT32, shape=[2]),
        ],
    )


def _source() -> GitSource:
    """The commit this runs from; only the path where there is no repository, as in an installed package."""
    try:
        return git_source(Path(train.__file__))
    except ValueError:
        return GitSource(path="libs/suite/demo/train.py")


def _file(stage: Stage, name: str, content: bytes) -> Path:
    path = stage.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
