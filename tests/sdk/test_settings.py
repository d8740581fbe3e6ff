"""Where a client looks for the services."""

import json
from pathlib import Path

import pytest

from modelog.sdk import NotConfigured, connect
from modelog.sdk.settings import Addresses, artifacts_dir, nearest_suite


@pytest.fixture
def suite_folder(tmp_path: Path) -> Path:
    """A folder with a suite that says where its registry is."""
    description = {"services": {"registry": {"address": "127.0.0.1:1111"}, "archive": {"address": ""}}}
    (tmp_path / ".modelog").mkdir()
    (tmp_path / ".modelog" / "suite.json").write_text(json.dumps(description))
    return tmp_path


def test_arguments_go_before_the_environment_and_the_environment_before_the_suite(suite_folder: Path) -> None:
    environment = {"MODELOG_REGISTRY": "registry:1", "MODELOG_ADDRESS": "envoy:2"}
    assert Addresses({"registry": "given:0"}, environment, suite_folder).of("registry") == "given:0"
    assert Addresses({}, environment, suite_folder).of("registry") == "registry:1"
    assert Addresses({}, environment, suite_folder).of("archive") == "envoy:2"
    assert Addresses({}, {}, suite_folder).of("registry") == "127.0.0.1:1111"


def test_the_nearest_suite_above_is_found(suite_folder: Path) -> None:
    deep = suite_folder / "a" / "b"
    deep.mkdir(parents=True)
    assert Addresses({}, {}, deep).of("registry") == "127.0.0.1:1111"
    (deep / ".modelog").mkdir()
    (deep / ".modelog" / "suite.json").write_text("half writ")
    assert nearest_suite(deep)[0] == suite_folder / ".modelog"


def test_nobody_to_ask_is_said_with_what_to_do(suite_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(NotConfigured, match=r"make up.*MODELOG_DEPLOYMENT=host:port"):
        Addresses({}, {}, empty).of("deployment")
    with pytest.raises(NotConfigured):
        Addresses({}, {}, suite_folder).of("archive")


async def test_a_service_is_looked_for_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REGISTRY", "ADDRESS"):
        monkeypatch.delenv(f"MODELOG_{name}", raising=False)
    async with connect(archive="127.0.0.1:1") as client:
        assert client.archive is client.archive
        with pytest.raises(NotConfigured):
            _ = client.registry


def test_artifacts_go_to_the_folder_of_the_suite(suite_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELOG_ARTIFACTS_DIR", raising=False)
    monkeypatch.chdir(suite_folder)
    assert artifacts_dir() == suite_folder / ".modelog" / "artifacts"
    monkeypatch.setenv("MODELOG_ARTIFACTS_DIR", "/srv/artifacts")
    assert artifacts_dir() == Path("/srv/artifacts")
    assert artifacts_dir("here") == Path("here")
