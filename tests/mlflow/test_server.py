"""A tracking server that is busy, away, elsewhere or no tracking server at all; and who is shown credentials."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelog.artifacts.folders import digest_of
from modelog.mlflow import server as module
from modelog.mlflow.artifacts import fetch
from modelog.mlflow.records import version_of
from modelog.mlflow.server import MlflowError, Server
from modelog.mlflow.settings import Credentials, credentials, tracking_uri
from modelog.registry.v1.artifacts_pb2 import SCAN_VERDICT_DANGEROUS
from suite.folder import free_port
from tests.mlflow.fakes import FakeMlflow, Said, serving

SEARCH = "/api/2.0/mlflow/registered-models/search?order_by=name+ASC&max_results=200"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
BUSY: Said = (503, {}, b"busy")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been waited for between attempts."""
    slept: list[float] = []
    monkeypatch.setattr("modelog.mlflow.server.time.sleep", slept.append)
    return slept


@pytest.fixture
def fake() -> Iterator[FakeMlflow]:
    made = FakeMlflow()
    with serving(made):
        yield made


def says(fake: FakeMlflow, address: str, **said: Any) -> None:
    fake.answers[address] = {"status": 200, "json": said}


def models(fake: FakeMlflow, **options: Any) -> list[str]:
    return [one.name for one in Server(fake.uri, **options).models()]


def test_a_busy_server_is_asked_again_and_told_how_long_to_wait_waits(fake: FakeMlflow, pauses: list[float]) -> None:
    says(fake, SEARCH, registered_models=[{"name": "a"}])
    fake.failures = [BUSY, (429, {"Retry-After": "7"}, b""), (500, {}, b"")]
    assert models(fake) == ["a"]
    assert fake.asked[SEARCH] == 4
    assert pauses[1] == 7.0
    assert pauses[0] <= 0.5 < pauses[2] <= 2.0


def test_attempts_are_bounded(fake: FakeMlflow, pauses: list[float]) -> None:
    fake.failures = [BUSY] * 50
    with pytest.raises(MlflowError) as caught:
        models(fake)
    assert caught.value.reason == "HTTP_503"
    assert (fake.asked[SEARCH], len(pauses)) == (5, 4)
    with pytest.raises(MlflowError, match="does not answer"):
        list(Server(f"http://127.0.0.1:{free_port()}", attempts=2).models())


def test_what_the_server_says_no_to_is_not_asked_again(fake: FakeMlflow) -> None:
    with pytest.raises(MlflowError) as caught:
        Server(fake.uri).run("x")
    assert caught.value.reason == "RESOURCE_DOES_NOT_EXIST"
    assert fake.asked.total() == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"\xff", b"{", b'{"registered_models": [1]}', b'{"registered_models": 7}']
)
def test_what_is_no_tracking_server_is_said_to_be_none(fake: FakeMlflow, body: bytes) -> None:
    fake.answers[SEARCH] = {"status": 200, "body": base64.b64encode(body).decode()}
    with pytest.raises(MlflowError) as caught:
        models(fake)
    assert caught.value.reason == "NOT_MLFLOW"


def test_pages_are_followed_to_their_end(fake: FakeMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    says(fake, SEARCH, registered_models=[{"name": "a"}], next_page_token="n/2")
    says(fake, f"{SEARCH}&page_token=n%2F2", registered_models=[{"name": "b"}])
    assert models(fake) == ["a", "b"]
    says(fake, f"{SEARCH}&page_token=n%2F2", registered_models=[{"name": "b"}], next_page_token="n/2")
    monkeypatch.setattr(module, "_MOST_PAGES", 5)
    with pytest.raises(MlflowError, match="does not come to an end"):
        models(fake)


def test_versions_are_asked_for_by_a_name_that_stays_one(fake: FakeMlflow) -> None:
    server = Server(fake.uri)
    name = "it's"
    says(
        fake,
        "/api/2.0/mlflow/model-versions/search?filter=name%3D%22it%27s%22&max_results=200",
        model_versions=[{"name": name, "version": "10"}, {"name": name, "version": "9"}, {"name": "x", "version": "1"}],
    )
    assert [one.number for one in server.versions(name)] == [9, 10]
    with pytest.raises(MlflowError) as caught:
        server.versions("a'b\"c")
    assert caught.value.reason == "NAME_NOT_QUOTABLE"


def test_who_asks_is_proved_as_mlflow_does_it(fake: FakeMlflow) -> None:
    says(fake, SEARCH)
    models(fake, credentials=credentials({"MLFLOW_TRACKING_TOKEN": "abc", "MLFLOW_TRACKING_USERNAME": "u"}))
    models(fake, credentials=credentials({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}))
    models(fake)
    basic = base64.b64encode(b"u:p").decode()
    assert [one.get("Authorization") for one in fake.headers] == ["Bearer abc", f"Basic {basic}", None]
    assert tracking_uri({"MLFLOW_TRACKING_URI": "http://x"}) == "http://x"
    assert "abc" not in repr(credentials({"MLFLOW_TRACKING_TOKEN": "abc"}))


def test_credentials_are_shown_to_nobody_else(fake: FakeMlflow) -> None:
    with pytest.raises(ValueError, match="plain text"):
        Server("http://mlflow.example.org", Credentials(token="abc"))
    Server("http://mlflow.example.org", Credentials(token="abc"), plain_text=True)
    other = FakeMlflow()
    with serving(other):
        fake.failures = [(302, {"Location": f"{other.uri}{SEARCH}"}, b"")]
        with pytest.raises(MlflowError) as caught:
            models(fake, credentials=Credentials(token="abc"))
        assert (caught.value.reason, other.asked.total()) == ("REDIRECTED", 0)


@pytest.mark.parametrize("uri", ["", "databricks", "sqlite:///x", "file:///etc/passwd", "ftp://x", "http://"])
def test_only_addresses_of_servers_are_taken(uri: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Server(uri)


def test_a_server_is_called_the_same_however_it_was_typed() -> None:
    assert Server("https://ada:secret@old.example.org:8443/mlflow/").uri == "https://old.example.org:8443/mlflow"
    assert Server("http://[::1]:5000/").uri == "http://[::1]:5000"


def listed(fake: FakeMlflow, folder: str, *entries: tuple[str, bool]) -> None:
    files = [{"path": path, "is_dir": is_dir} for path, is_dir in entries]
    says(fake, f"{FILES}?path={folder.replace('/', '%2F')}", files=files)


def test_an_artifact_is_the_digest_of_its_files(fake: FakeMlflow) -> None:
    listed(fake, "1/m", ("MLmodel", False), ("data", True))
    listed(fake, "1/m/data", ("a b.bin", False))
    for path, body in (("MLmodel", b"flavors: {}"), ("data/a%20b.bin", b"xyz")):
        fake.answers[f"{FILES}/1/m/{path}"] = {"status": 200, "body": base64.b64encode(body).decode()}
    found = fetch(Server(fake.uri), "mlflow-artifacts:/1/m")
    assert [(one.path, one.sha256, one.format) for one in found.artifact.files] == [
        ("MLmodel", hashlib.sha256(b"flavors: {}").hexdigest(), "mlmodel"),
        ("data/a b.bin", hashlib.sha256(b"xyz").hexdigest(), "bin"),
    ]
    assert found.artifact.sha256 == digest_of(found.artifact.files)
    assert (found.artifact.size_bytes, found.description) == (14, {"flavors": {}})
    assert found.artifact.uri == f"mlflow-artifacts://{fake.uri.removeprefix('http://')}/1/m"


def test_pickles_are_listed_for_the_registry_to_judge(fake: FakeMlflow) -> None:
    listed(fake, "1/m", ("model.pkl", False))
    body = b"cposix\nsystem\n(S'true'\ntR."
    fake.answers[f"{FILES}/1/m/model.pkl"] = {"status": 200, "body": base64.b64encode(body).decode()}
    artifact = fetch(Server(fake.uri), "mlflow-artifacts:/1/m").artifact
    assert (artifact.format, artifact.files[0].format) == ("mlflow", "pickle")
    assert artifact.scan.verdict == SCAN_VERDICT_DANGEROUS


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://bucket/model", "ARTIFACT_NOT_PROXIED"),
        ("file:///etc/passwd", "ARTIFACT_NOT_PROXIED"),
        ("mlflow-artifacts://other.example.org/1/m", "ARTIFACT_NOT_PROXIED"),
        ("", "ARTIFACT_NOT_PROXIED"),
        ("mlflow-artifacts:/1/empty", "ARTIFACT_MISSING"),
        ("mlflow-artifacts:/1/loop", "TOO_DEEP"),
        ("mlflow-artifacts:/1/up", "PATH_FORMAT"),
    ],
)
def test_an_artifact_that_cannot_be_read_has_no_digest(fake: FakeMlflow, uri: str, reason: str) -> None:
    listed(fake, "1/empty")
    listed(fake, "1/up", ("..", True))
    for depth in range(20):
        listed(fake, "1/loop" + "/d" * depth, ("d", True))
    with pytest.raises(MlflowError) as caught:
        fetch(Server(fake.uri), uri)
    assert caught.value.reason == reason


def test_a_file_that_breaks_off_has_no_digest(fake: FakeMlflow) -> None:
    listed(fake, "1/m", ("MLmodel", False))
    fake.failing = lambda address: address.endswith("/MLmodel")
    fake.failures = [(200, {"Content-Length": "100"}, b"short")]
    with pytest.raises(MlflowError):
        fetch(Server(fake.uri, timeout_seconds=0.5), "mlflow-artifacts:/1/m")


def test_what_versions_say_of_themselves_is_read_with_care() -> None:
    odd = version_of(json.loads('{"name": null, "version": "x", "creation_timestamp": {}, "tags": [1, {"key": "a"}]}'))
    assert (odd.model, odd.number, odd.created, dict(odd.tags)) == ("", 0, None, {"a": ""})


def test_a_file_of_another_length_than_it_was_listed_with_has_no_digest(fake: FakeMlflow) -> None:
    says(fake, f"{FILES}?path=1%2Fm", files=[{"path": "MLmodel", "is_dir": False, "file_size": 4}])
    fake.answers[f"{FILES}/1/m/MLmodel"] = {"status": 200, "body": base64.b64encode(b"xyz").decode()}
    with pytest.raises(MlflowError) as caught:
        fetch(Server(fake.uri), "mlflow-artifacts:/1/m")
    assert caught.value.reason == "ARTIFACT_INCOMPLETE"
