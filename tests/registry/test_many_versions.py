"""Many versions in one call: each answered in its place, resumed by sending all again, and in the order of sending."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from access.matrix import IMPORTER, ROLES
from kernel.errors import Denied
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.imports_pb2 import Origin, RegisterVersionsResponse
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import actor
from tests.registry.build import ADA, BEN, MODEL_NAME, PROJECT_NAME, artifact, evaluation
from tests.registry.office import Office, office, refused

LONG_AGO = Timestamp(seconds=1_600_000_000)


def request(model: str = MODEL_NAME, **fields: Any) -> rpc.RegisterVersionRequest:
    return rpc.RegisterVersionRequest(parent=model, artifact=artifact(), **fields)


async def many(registry: Office, requests: Any, by: str = ADA) -> list[RegisterVersionsResponse]:
    stub: Any = registry.live.channel.stream_stream(
        "/modelog.registry.v1.RegistryService/RegisterVersions",
        request_serializer=lambda one: one.SerializeToString(),
        response_deserializer=RegisterVersionsResponse.FromString,
    )
    return [reply async for reply in stub(requests, timeout=60, metadata=actor(by))]


async def test_many_versions_of_many_models_are_numbered_as_they_were_sent(registry: Office) -> None:
    await registry.found_model()
    others = [await registry.CreateModel(parent=PROJECT_NAME, model_id=f"m{n}") for n in range(4)]
    models = [MODEL_NAME, *(one.name for one in others)]
    requests = [request(models[n * n % 5], framework=f"f{n}", request_id=f"r{n}") for n in range(300)]
    before = await registry.live.rooms.log.head()
    replies = await many(registry, requests)
    assert [one.request_id for one in replies] == [f"r{n}" for n in range(300)]
    assert await registry.live.rooms.log.head() == before + 300
    for model in models:
        sent = [one.framework for one in requests if one.parent == model]
        page = await registry.ListVersions(parent=model, page_size=500, read={"at_least": before + 300})
        assert [one.framework for one in page.versions] == sent
        assert [int(one.name.rpartition("/")[2]) for one in page.versions] == list(range(1, len(sent) + 1))
    assert await many(registry, requests) == replies
    alone = await registry.RegisterVersion(raw=requests[7].SerializeToString())
    assert (alone.name, alone.revision) == (replies[7].name, replies[7].revision)
    assert await registry.live.rooms.log.head() == before + 300


async def test_two_who_send_the_same_at_once_record_it_once(registry: Office) -> None:
    await registry.found_model()
    requests = [request(request_id=f"r{n}", framework=f"f{n}") for n in range(60)]
    before = await registry.live.rooms.log.head()
    first, second = await asyncio.gather(many(registry, requests), many(registry, requests))
    assert first == second
    assert [one.name for one in first] == [f"{MODEL_NAME}/versions/{n}" for n in range(1, 61)]
    assert await registry.live.rooms.log.head() == before + 60


async def test_a_refused_version_leaves_no_gap_among_the_others(registry: Office) -> None:
    await registry.found_model()
    requests = [
        request(request_id="a"),
        request(f"{PROJECT_NAME}/models/none", request_id="b"),
        rpc.RegisterVersionRequest(parent=MODEL_NAME, request_id="c"),
        request(request_id="a", framework="other"),
        request(request_id="d", validate_only=True),
        request(request_id="e"),
    ]
    replies = await many(registry, requests)
    assert [(one.request_id, one.name, one.refusal.reason) for one in replies] == [
        ("a", f"{MODEL_NAME}/versions/1", ""),
        ("b", "", "MODEL_NOT_FOUND"),
        ("", "", "INVALID_REQUEST"),
        ("a", "", "REQUEST_ID_REUSED"),
        ("d", f"{MODEL_NAME}/versions/2", ""),
        ("e", f"{MODEL_NAME}/versions/2", ""),
    ]
    assert [one.field for one in replies[2].refusal.violations] == ["artifact"]
    assert replies[3].refusal.metadata["resource"] == f"{MODEL_NAME}/versions/1"


async def test_what_was_elsewhere_keeps_its_time_beside_the_time_of_recording(registry: Office) -> None:
    await registry.found_model()
    origin = Origin(system="mlflow", uri="http://old", id="fraud/7", happen_time=LONG_AGO)
    made = await registry.CreateModel(parent=PROJECT_NAME, model_id="old", origin=origin, tags={"team": "risk"})
    (one,) = await many(registry, [request(made.name, origin=origin, tags={"mlflow.version": "7"})])
    measured = await registry.RecordEvaluation(
        name=one.name, evaluation_id="mlflow", evaluation=evaluation(0.9), happen_time=LONG_AGO
    )
    read = {"at_least": measured.revision}
    model = await registry.GetModel(name=made.name, read=read)
    version = await registry.GetVersion(name=one.name, read=read)
    assert (model.origin, version.origin) == (origin, origin)
    assert (dict(model.tags), dict(version.tags)) == ({"team": "risk"}, {"mlflow.version": "7"})
    assert version.create_time.seconds > LONG_AGO.seconds + 100_000_000
    assert version.evaluations["mlflow"].record_time.seconds > LONG_AGO.seconds + 100_000_000
    for revision in (made.revision, one.revision, measured.revision):
        entry = await registry.live.rooms.log.next("lifecycle.>", revision - 1)
        assert entry is not None
        fact = Fact.FromString(entry.payload)
        assert (fact.happened_at, fact.HasField("happened_at")) == (LONG_AGO, True)
        assert fact.recorded_at.seconds > LONG_AGO.seconds + 100_000_000
    plain = await registry.register()
    assert not (await registry.GetVersion(name=plain, read={"at_least": measured.revision + 1})).HasField("origin")


async def test_nothing_happened_in_the_future(registry: Office) -> None:
    await registry.found_model()
    late = Timestamp(seconds=9_999_999_999)
    origin = Origin(system="mlflow", id="x", happen_time=late)
    (one,) = await many(registry, [request(origin=origin)])
    assert [wrong.field for wrong in one.refusal.violations] == ["origin.happen_time"]
    version = await registry.register()
    wrong = registry.RecordEvaluation(name=version, evaluation_id="a", evaluation=evaluation(0.9), happen_time=late)
    assert await refused(wrong) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["happen_time"])


def test_only_importers_may_say_that_something_happened_before() -> None:
    assert [role for role, held in ROLES.items() if "registry.history.import" in held] == [IMPORTER]
    assert not {"registry.reviews.submit", "registry.versions.change_stage"} & ROLES[IMPORTER]


async def test_who_may_register_may_not_say_since_when(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kernel.identity import Development

    async def may(_self: object, caller: Any, permission: str, _resource: str) -> bool:
        return permission != "registry.history.import" or caller.principal.id != BEN

    monkeypatch.setattr(Development, "may", may)
    async with office(nats, postgres, tmp_path, schema) as registry:
        await registry.found_model()
        origin = Origin(system="mlflow", id="x")
        denied = await many(registry, [request(origin=origin), request()], by=BEN)
        assert [(one.refusal.code, one.refusal.reason) for one in denied] == [
            (Denied.code, "NOT_GRANTED"),
            ("", ""),
        ]
        direct = registry.CreateModel(parent=PROJECT_NAME, model_id="x", origin=origin, by=BEN)
        assert (await refused(direct))[:2] == (grpc.StatusCode.PERMISSION_DENIED.name, "NOT_GRANTED")
        (allowed,) = await many(registry, [request(origin=origin)])
        assert allowed.name
