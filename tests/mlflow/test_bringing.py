"""An import from a tracking server as recorded into a running registry: once, twice, again later, and broken off."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelog.mlflow import server as module
from modelog.mlflow.bringing import Import, Options
from modelog.mlflow.mapping import Rules
from modelog.mlflow.report import IMPORTED, SKIPPED, THERE, WOULD, Report
from modelog.mlflow.server import Server
from modelog.sdk import Unavailable, connect_sync
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.mlflow.fakes import FakeMlflow, serving
from tests.registry.build import PROJECT_NAME
from tests.registry.office import Office, office

FRAUD, CHURN = f"{PROJECT_NAME}/models/fraud-model", f"{PROJECT_NAME}/models/churn-eu"
# The tracking server that was recorded; the fake has another port in every run.
SERVER = "http://old.example.org"


@pytest.fixture
async def registry(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    async with office(nats, postgres, tmp_path, schema) as running:
        await running.CreateProject(project_id="risk")
        yield running


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    fake = FakeMlflow("first")
    with serving(fake):
        yield fake


async def bring(registry: Office, mlflow: FakeMlflow, **options: Any) -> Report:
    """One run, as whoever moves."""
    rules = Rules(SERVER, PROJECT_NAME, users=options.pop("users", {}), reason="moving")

    def run() -> Report:
        address = registry.live.running.address
        with connect_sync(registry=address, actor="users/mover", deadline_seconds=20, patience_seconds=2) as client:
            return Import(client, Server(mlflow.uri), rules, Options(**options)).run()

    return await asyncio.to_thread(run)


async def head(registry: Office) -> int:
    return await registry.live.rooms.resources.catch_up()


async def test_what_the_server_holds_comes_over_with_its_times(registry: Office, mlflow: FakeMlflow) -> None:
    report = await bring(registry, mlflow, users={"ada": "users/lovelace"})
    assert report.counts() == {
        "model": {IMPORTED: 2, SKIPPED: 1},
        "version": {IMPORTED: 5, SKIPPED: 1},
        "evaluation": {IMPORTED: 3},
        "alias": {IMPORTED: 2},
    }
    assert {(one.source, one.reason) for one in report.skipped()} == {
        ("fraud_model", "ID_COLLISION"),
        ("churn.eu/4", "ARTIFACT_NOT_PROXIED"),
    }
    read = {"at_least": await head(registry)}
    model = await registry.GetModel(name=FRAUD, read=read)
    assert (model.details.title, model.details.description) == ("Fraud Model", "Finds fraud\ufffd.")
    assert {alias: one.version for alias, one in model.aliases.items()} == {
        "champion": f"{FRAUD}/versions/2",
        "challenger-a": f"{FRAUD}/versions/1",
    }
    page = await registry.ListVersions(parent=FRAUD, read=read)
    first, second = page.versions
    assert [one.origin.id for one in page.versions] == ["Fraud Model/1", "Fraud Model/3"]
    assert (first.tags["mlflow.stage"], first.tags["note"], first.stage) == ("Archived", "first", "development")
    assert (second.tags["mlflow.stage"], second.tags["mlflow.version"]) == ("Production", "3")
    assert not second.HasField("transition")
    assert second.documentation.summary == "The one that serves."
    assert (first.author, list(first.makers)) == ("users/lovelace", ["users/lovelace", "users/mover"])
    assert first.framework.startswith("sklearn ")
    assert [one.name for one in first.signature.inputs][:1] == ["sepal length (cm)"]
    assert (first.source.repository, first.source.path) == ("https://git.example.org/risk.git", "train.py")
    assert dict(first.hyperparameters) == {"C": "0.1", "max_iter": "500"}
    assert first.evaluations["mlflow"].metrics["accuracy"].value == 0.97
    assert set(first.evaluations["mlflow"].metrics) == {"accuracy", "val_log_loss"}
    assert first.documentation.properties["mlflow.metrics.lift"].number == 1.5
    recorded = mlflow.answers["/api/2.0/mlflow/model-versions/search?filter=name%3D%27Fraud+Model%27&max_results=200"]
    created = {one["version"]: one["creation_timestamp"] for one in recorded["json"]["model_versions"]}
    assert first.origin.happen_time.ToMilliseconds() == created["1"]
    assert first.create_time.ToMilliseconds() > created["3"]
    tensors, times, _ = (await registry.ListVersions(parent=CHURN, read=read)).versions
    assert [(one.name, list(one.shape)) for one in tensors.signature.inputs] == [("image", [28, 28])]
    assert not times.signature.inputs


async def test_twice_is_once(registry: Office, mlflow: FakeMlflow) -> None:
    await bring(registry, mlflow)
    before, downloads = await head(registry), mlflow.downloads()
    again = await bring(registry, mlflow)
    assert await head(registry) == before
    assert mlflow.downloads() == downloads
    assert {outcome for of in again.counts().values() for outcome in of} == {THERE, SKIPPED}
    assert again.counts()["version"] == {THERE: 5, SKIPPED: 1}


async def test_what_is_new_comes_later_and_what_was_changed_here_stays(registry: Office, mlflow: FakeMlflow) -> None:
    await bring(registry, mlflow)
    await registry.SetTag(name=f"{FRAUD}/versions/1", key="note", value="ours")
    before = await head(registry)
    mlflow.answers |= FakeMlflow("more").answers
    report = await bring(registry, mlflow)
    imported = [(one.kind, one.source, one.name) for one in report.lines if one.outcome == IMPORTED]
    assert imported == [
        ("version", "Fraud Model/4", f"{FRAUD}/versions/3"),
        ("evaluation", "Fraud Model/4", f"{FRAUD}/versions/3"),
        ("model", "prices", f"{PROJECT_NAME}/models/prices"),
    ]
    assert ("Fraud Model@champion", "ALIAS_DIFFERS") in {(one.source, one.reason) for one in report.skipped()}
    assert await head(registry) == before + 3
    moved = await bring(registry, mlflow, update=True)
    changed = [(one.kind, one.source) for one in moved.lines if one.outcome == IMPORTED]
    assert changed == [("tag", "Fraud Model/1 note"), ("alias", "Fraud Model@champion")]
    model = await registry.GetModel(name=FRAUD, read={"at_least": await head(registry)})
    assert model.aliases["champion"].version == f"{FRAUD}/versions/3"


async def test_a_dry_run_records_nothing_and_reads_no_artifact(registry: Office, mlflow: FakeMlflow) -> None:
    before = await head(registry)
    report = await bring(registry, mlflow, dry_run=True)
    assert report.counts()["version"] == {WOULD: 6}
    assert (await head(registry), mlflow.downloads()) == (before, 0)


async def test_an_import_that_broke_off_goes_on_where_it_was(
    registry: Office, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 1)
    monkeypatch.setattr("modelog.mlflow.server.time.sleep", lambda _: None)
    mlflow.failing = lambda address: address.endswith("/MLmodel") or "runs/get" in address
    mlflow.failures = [(503, {}, b"")] * 25  # More than the attempts at one of them, so some come through and some not.
    broken = await bring(registry, mlflow)
    failed = [one for one in broken.skipped() if one.reason == "HTTP_503"]
    assert failed
    mlflow.failures = []
    await bring(registry, mlflow)
    read = {"at_least": await head(registry)}
    for model, count in ((FRAUD, 2), (CHURN, 3)):
        versions = (await registry.ListVersions(parent=model, read=read)).versions
        assert len({one.origin.id for one in versions}) == len(versions) == count
    before = await head(registry)
    await bring(registry, mlflow)
    assert await head(registry) == before


async def test_two_imports_at_once_are_one(registry: Office, mlflow: FakeMlflow) -> None:
    reports = await asyncio.gather(*(bring(registry, mlflow) for _ in range(3)))
    read = {"at_least": await head(registry)}
    versions = (await registry.ListVersions(parent=f"{PROJECT_NAME}/models/-", read=read)).versions
    assert sorted(one.origin.id for one in versions) == [
        "Fraud Model/1", "Fraud Model/3", "churn.eu/1", "churn.eu/2", "churn.eu/3",
    ]  # fmt: skip
    for report in reports:
        named = {line.source: line.name for line in report.lines if line.kind == "version" and "versions" in line.name}
        assert len(named) == 5


async def test_a_model_of_ours_is_not_taken_over(registry: Office, mlflow: FakeMlflow) -> None:
    await registry.CreateModel(parent=PROJECT_NAME, model_id="churn-eu")
    report = await bring(registry, mlflow, patterns=("churn*",))
    assert [(one.source, one.reason) for one in report.lines] == [("churn.eu", "NAME_TAKEN")]
    report = await bring(registry, mlflow, patterns=("churn*", "fraud_*"), renames={"churn.eu": "churn"})
    assert report.counts()["version"] == {IMPORTED: 3, SKIPPED: 1}
    assert {one.name for one in report.lines if one.kind == "model"} == {
        f"{PROJECT_NAME}/models/churn",
        FRAUD,
    }


async def test_a_refusal_of_one_leaves_the_rest_and_a_registry_that_is_away_ends_it(
    registry: Office, mlflow: FakeMlflow
) -> None:
    said = mlflow.answers["/api/2.0/mlflow/registered-models/search?order_by=name+ASC&max_results=200"]
    said = json.loads(json.dumps(said))
    said["json"]["registered_models"][0]["creation_timestamp"] = 4_000_000_000_000  # Of a clock that is wrong.
    mlflow.answers["/api/2.0/mlflow/registered-models/search?order_by=name+ASC&max_results=200"] = said
    report = await bring(registry, mlflow)
    (refused,) = [one for one in report.skipped() if one.reason == "INVALID_REQUEST"]
    assert (refused.kind, "origin.happen_time" in refused.message) == ("model", True)
    assert report.counts()["model"][IMPORTED] == 1
    away = Rules(SERVER, PROJECT_NAME)
    with (
        connect_sync(registry="127.0.0.1:1", actor="users/mover", patience_seconds=0.2) as client,
        pytest.raises(Unavailable) as caught,
    ):
        await asyncio.to_thread(Import(client, Server(mlflow.uri), away, Options()).run)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
