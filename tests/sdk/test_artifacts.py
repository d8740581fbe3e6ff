"""Artifacts in the content-addressed folder that the services read."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelog.sdk import upload_artifact
from modelog.sdk.artifacts import describe_artifact

CONTENT = b"weights" * 400_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.ONNX"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_stored_under_its_digest(model: Path, tmp_path: Path) -> None:
    artifact = upload_artifact(model, folder=tmp_path / "store")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (artifact.uri, artifact.sha256) == (f"cas:sha256/{digest}", digest)
    assert (artifact.size_bytes, artifact.format) == (len(CONTENT), "onnx")
    stored = tmp_path / "store" / "sha256" / digest
    assert stored.read_bytes() == CONTENT
    assert stored.stat().st_mode & 0o222 == 0


def test_the_same_bytes_are_stored_once_even_at_once(model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: upload_artifact(model, folder=store), range(16)))
    assert len({artifact.uri for artifact in stored}) == 1
    assert [path.name for path in (store / "sha256").iterdir()] == [stored[0].sha256]


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        upload_artifact(tmp_path / "missing", folder=tmp_path / "store")
    with pytest.raises(ValueError, match="has no files"):
        upload_artifact(tmp_path, folder=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_file_kept_elsewhere_is_only_described(model: Path) -> None:
    artifact = describe_artifact(model, "s3://models/fraud/3.onnx", artifact_format="onnx")
    assert (artifact.uri, artifact.size_bytes) == ("s3://models/fraud/3.onnx", len(CONTENT))
    assert artifact.sha256 == hashlib.sha256(CONTENT).hexdigest()
