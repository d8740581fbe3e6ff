"""A tracking server for imports, in a process of its own: `python -m tests.bench.tracking`."""

import base64
from contextlib import ExitStack
from typing import Any

from tests.bench.children import serve
from tests.mlflow.fakes import FakeMlflow, serving

_MODELS = 4
_FILES = ("MLmodel", "model.skops", "requirements.txt")
_DESCRIPTION = b"flavors:\n  sklearn:\n    sklearn_version: 1.9.1\n"
_API = "/api/2.0/mlflow"
_open = ExitStack()


async def start(order: dict[str, Any]) -> dict[str, Any]:
    """Serves `count` versions until the process ends; its address."""
    return {"uri": _open.enter_context(serving(_served(order["count"])))}


def _served(count: int) -> FakeMlflow:
    """A tracking server with so many versions, each of a run of its own and with three small files."""
    fake = FakeMlflow()
    says = fake.answers
    names = [f"model-{n}" for n in range(_MODELS)]
    search = f"{_API}/registered-models/search?order_by=name+ASC&max_results=200"
    says[search] = {"status": 200, "json": {"registered_models": [{"name": name} for name in names]}}
    for place, name in enumerate(names):
        numbers = range(1, len(range(place, count, _MODELS)) + 1)
        versions = [{"name": name, "version": str(n), "run_id": f"{name}-{n}"} for n in numbers]
        address = f"{_API}/model-versions/search?filter=name%3D%27{name}%27&max_results=200"
        says[address] = {"status": 200, "json": {"model_versions": versions}}
        for n in numbers:
            _serve_version(fake, name, n)
    return fake


def _serve_version(fake: FakeMlflow, name: str, number: int) -> None:
    says, folder = fake.answers, f"1/{name}-{number}"
    metrics = [{"key": "accuracy", "value": 0.9, "timestamp": 1_700_000_000_000}]
    run = {"info": {"run_id": f"{name}-{number}"}, "data": {"metrics": metrics, "params": [{"key": "C", "value": "1"}]}}
    says[f"{_API}/runs/get?run_id={name}-{number}"] = {"status": 200, "json": {"run": run}}
    address = f"{_API}/model-versions/get-download-uri?name={name}&version={number}"
    says[address] = {"status": 200, "json": {"artifact_uri": f"mlflow-artifacts:/{folder}"}}
    proxy = "/api/2.0/mlflow-artifacts/artifacts"
    files = [{"path": one, "is_dir": False} for one in _FILES]
    says[f"{proxy}?path={folder.replace('/', '%2F')}"] = {"status": 200, "json": {"files": files}}
    for one in _FILES:
        body = _DESCRIPTION if one == "MLmodel" else b"x" * 10_000
        says[f"{proxy}/{folder}/{one}"] = {"status": 200, "body": base64.b64encode(body).decode()}


if __name__ == "__main__":
    serve({"start": start})
