"""Artifacts in the content-addressed folder, and where their code came from."""

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelog.sdk import git_source, upload_artifact
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
    with pytest.raises(IsADirectoryError):
        upload_artifact(tmp_path, folder=tmp_path / "store")
    assert list((tmp_path / "store" / "sha256").iterdir()) == []


def test_a_file_kept_elsewhere_is_only_described(model: Path) -> None:
    artifact = describe_artifact(model, "s3://models/fraud/3.onnx", artifact_format="onnx")
    assert (artifact.uri, artifact.size_bytes) == ("s3://models/fraud/3.onnx", len(CONTENT))
    assert artifact.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree of one commit."""
    folder = tmp_path / "code"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "fit.py").write_text("print('fit')\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    for arguments in (
        ["init", "--initial-branch=main", "--quiet"],
        ["add", "."],
        [*identity, "commit", "--quiet", "--message=Fit"],
        ["remote", "add", "origin", "https://ada:secret@git.example.test/risk/fraud.git"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder


def test_the_commit_of_a_working_tree_without_anybodys_password(tree: Path) -> None:
    source = git_source(tree / "training" / "fit.py")
    head = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert source.commit == head.stdout.strip()
    assert source.repository == "https://git.example.test/risk/fraud.git"
    assert (source.branch, source.path, source.dirty) == ("main", "training/fit.py", False)
    (tree / "new.txt").write_text("not committed")
    changed = git_source(tree)
    assert (changed.path, changed.dirty) == ("", True)


def test_a_folder_outside_any_tree_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ValueError, match="no git working tree"):
        git_source(tmp_path)
