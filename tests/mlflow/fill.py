"""Fills a tracking server as people do, with MLflow's own client: `.venv-mlflow/bin/python tests/mlflow/fill.py URI`.

A second argument `more` registers what came to be between two imports.
"""

import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

# As they are in an environment of their own; nothing here is looked at by the type checker of modelog.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
mlflow: Any = importlib.import_module("mlflow")
datasets: Any = importlib.import_module("sklearn.datasets")
linear_model: Any = importlib.import_module("sklearn.linear_model")
models: Any = importlib.import_module("mlflow.models")
schema: Any = importlib.import_module("mlflow.types")
numpy: Any = importlib.import_module("numpy")

GIT = {
    "mlflow.source.git.commit": "4f1c" * 10,
    "mlflow.source.git.repoURL": "https://ada:secret@git.example.org/risk.git",
    "mlflow.source.git.branch": "main",
    "mlflow.source.name": "train.py",
    "mlflow.user": "ada",
}


def train(client: Any, name: str, strength: float, **extra: float) -> str:
    """One run that trains, measures and registers; returns the version."""
    X, y = datasets.load_iris(return_X_y=True, as_frame=True)
    with mlflow.start_run() as run:
        model = linear_model.LogisticRegression(C=strength, max_iter=500).fit(X, y)
        mlflow.log_params({"C": strength, "max_iter": 500})
        mlflow.log_metrics({"accuracy": float(model.score(X, y)), "val_log_loss": 0.3, "lift": 1.5, **extra})
        mlflow.log_metric("accuracy", 0.97, step=1)
        data = mlflow.data.from_pandas(X, source="https://example.org/iris.csv", name="iris")
        mlflow.log_input(data, context="training")
        mlflow.log_input(data, context="validation")
        mlflow.set_tags(GIT)
        signature = models.infer_signature(X, model.predict(X))
        logged = mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=["scikit-learn"])
    made = client.create_model_version(name, logged.model_uri, run.info.run_id, model_id=logged.model_id)
    return str(made.version)


def by_hand(client: Any, name: str, signature: Any) -> str:
    """A version whose MLmodel file holds this signature, without a flavor of any library."""
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        described = models.Model(signature=signature)
        described.save(str(Path(folder) / "MLmodel"))
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "weights.bin").write_bytes(b"weights")
        mlflow.log_artifacts(folder, "model")
        source = f"{run.info.artifact_uri}/model"
    return str(client.create_model_version(name, source, run.info.run_id).version)


def first(client: Any) -> None:
    mlflow.set_experiment("risk")
    client.create_registered_model("Fraud Model", tags={"team": "risk"}, description="Finds fraud\u202e.")
    for strength in (0.1, 0.5, 1.0):
        train(client, "Fraud Model", strength)
    client.delete_model_version("Fraud Model", "2")
    client.update_model_version("Fraud Model", "3", "The one that serves.")
    client.set_model_version_tag("Fraud Model", "1", "note", "first")
    client.set_registered_model_alias("Fraud Model", "champion", "3")
    client.set_registered_model_alias("Fraud Model", "Challenger_A", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage("Fraud Model", "1", "Archived")
        client.transition_model_version_stage("Fraud Model", "3", "Production")
    client.create_registered_model("fraud_model")

    client.create_registered_model("churn.eu")
    tensors = models.ModelSignature(
        inputs=schema.Schema([schema.TensorSpec(numpy.dtype("float32"), (-1, 28, 28), "image")]),
        outputs=schema.Schema([schema.TensorSpec(numpy.dtype("float64"), (-1, 10))]),
    )
    by_hand(client, "churn.eu", tensors)
    times = models.ModelSignature(inputs=schema.Schema([schema.ColSpec(schema.DataType.datetime, "when")]))
    by_hand(client, "churn.eu", times)
    train(client, "churn.eu", 2.0, auc=float("nan"))
    elsewhere = mlflow.start_run()
    mlflow.end_run()
    client.create_model_version("churn.eu", "s3://elsewhere/model", elsewhere.info.run_id)


def more(client: Any) -> None:
    mlflow.set_experiment("risk")
    train(client, "Fraud Model", 4.0)
    client.set_registered_model_alias("Fraud Model", "champion", "4")
    client.create_registered_model("prices")


if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    (more if sys.argv[2:] == ["more"] else first)(mlflow.MlflowClient())
