"""Comparisons over a live server: incidents from other services, the facts between, moments of the past."""

from pathlib import Path

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import declare_pb2 as declare
from modelog.registry.v1.registry_service_pb2 import (
    CompareVersionsRequest,
    CreateModelRequest,
    CreateProjectRequest,
    GrantRoleRequest,
    RegisterVersionRequest,
)
from modelog.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import KNOWN_ALERT, KNOWN_ENDPOINT, KNOWN_RETRAINING, KNOWN_ROLLOUT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.people import ADMINISTRATOR, People
from tests.registry.build import ADA, BEN, MODEL_NAME, PROJECT_NAME, artifact, evaluation
from tests.registry.office import Elsewhere, Office, office

ROLLOUT = f"{PROJECT_NAME}/endpoints/eu/rollouts/1"
ENDPOINT = f"{PROJECT_NAME}/endpoints/eu"
ALERT = f"{PROJECT_NAME}/monitors/eu/alerts/1"
RETRAINING = f"{PROJECT_NAME}/monitors/eu/retrainings/1"


async def test_incidents_are_told_of_the_version_they_happened_to_and_as_of_then(
    registry: Office, elsewhere: Elsewhere
) -> None:
    await registry.found_model()
    names = [await registry.register() for _ in range(3)]
    raised = await elsewhere.record(
        KNOWN_ALERT, ALERT, monitoring.AlertRaised(version=names[1], check="drift", endpoint="e")
    )
    await elsewhere.record(KNOWN_ALERT, ALERT, monitoring.AlertAcknowledged())
    asked = monitoring.RetrainingRequested(version=names[1], alert=ALERT)
    await elsewhere.record(KNOWN_RETRAINING, RETRAINING, asked)
    await elsewhere.record(KNOWN_ROLLOUT, ROLLOUT, deployment.RolloutRequested(version=names[2]))
    back = deployment.RolledBack(version=names[2], restored_version=names[0], cause="too slow")
    last = await elsewhere.record(KNOWN_ROLLOUT, ROLLOUT, back)
    reply = await registry.CompareVersions(names=names, read={"at_least": last})
    told = [(one.version, declare.IncidentKind.Name(one.kind), one.resource, one.summary) for one in reply.incidents]
    assert told == [
        (names[1], "INCIDENT_KIND_ALERT", ALERT, "drift on e"),
        (names[1], "INCIDENT_KIND_RETRAINING", RETRAINING, ALERT),
        (names[2], "INCIDENT_KIND_ROLLBACK", ROLLOUT, "too slow"),
    ]
    assert all(one.time.ToSeconds() > 0 for one in reply.incidents)
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointCreated(environment="e"))
    share = [{"version": names[0], "percent": 90}, {"version": names[1], "percent": 10}]
    moved = await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.TrafficShifted(traffic=share))
    serving = (await registry.CompareVersions(names=names, read={"at_least": moved})).serving
    assert [(one.version, one.endpoint, one.percent) for one in serving] == [
        (names[0], ENDPOINT, 90), (names[1], ENDPOINT, 10),
    ]  # fmt: skip
    then = await registry.CompareVersions(names=names, read={"as_of_revision": raised})
    assert not then.serving
    assert [one.revision for one in then.incidents] == [raised]
    others = await registry.CompareVersions(names=names[::2], read={"at_least": last})
    assert [one.version for one in others.incidents] == [names[2]]


async def test_the_facts_between_two_registrations_are_those_of_their_models(registry: Office) -> None:
    await registry.found_model()
    await registry.CreateModel(parent=PROJECT_NAME, model_id="churn")
    first = await registry.register()
    await registry.RecordEvaluation(name=first, evaluation_id="holdout", evaluation=evaluation(0.8), reason="measured")
    await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=first, by=BEN)
    await registry.SetTag(name=f"{PROJECT_NAME}/models/churn", key="k", value="v")
    second = await registry.register()
    other = (await registry.RegisterVersion(parent=f"{PROJECT_NAME}/models/churn", artifact=artifact())).name
    end = await registry.SetTag(name=first, key="late", value="v")
    read = {"at_least": end.revision}
    reply = await registry.CompareVersions(names=[second, first], include_facts=True, read=read)
    events = [one.event.rpartition(".")[2] for one in reply.facts]
    assert events == ["VersionRegistered", "EvaluationRecorded", "AliasAssigned", "VersionRegistered"]
    assert [one.resource for one in reply.facts] == [first, first, MODEL_NAME, second]
    assert [one.actor for one in reply.facts] == [ADA, ADA, BEN, ADA]
    assert (reply.facts[1].reason, reply.more_facts, reply.facts_withheld) == ("measured", False, False)
    across = await registry.CompareVersions(names=[first, other], include_facts=True, read=read)
    assert [one.event.rpartition(".")[2] for one in across.facts] == [
        "VersionRegistered", "EvaluationRecorded", "AliasAssigned", "TagSet", "VersionRegistered", "VersionRegistered",
    ]  # fmt: skip
    assert not (await registry.CompareVersions(names=[first, second], read=read)).facts


async def test_who_may_not_read_history_gets_the_comparison_without_it(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    people = People(tmp_path)
    async with office(nats, postgres, tmp_path, schema, **people.settings()) as running:
        stub = RegistryServiceStub(running.live.channel)
        root = people(ADMINISTRATOR)
        await stub.CreateProject(CreateProjectRequest(project_id="risk"), metadata=root)
        for who, role in ((ADA, "author"), (BEN, "auditor")):
            granted = await stub.GrantRole(GrantRoleRequest(name=PROJECT_NAME, principal=who, role=role), metadata=root)
        ada = (*people(ADA), ("x-modelog-revision", str(granted.revision)))
        await stub.CreateModel(CreateModelRequest(parent=PROJECT_NAME, model_id="fraud"), metadata=ada)
        asked = RegisterVersionRequest(parent=MODEL_NAME, artifact=artifact())
        replies = [await stub.RegisterVersion(asked, metadata=ada) for _ in range(2)]
        request = CompareVersionsRequest(
            names=[one.name for one in replies], include_facts=True, read=ReadOptions(at_least=replies[1].revision)
        )
        reply = await stub.CompareVersions(request, metadata=ada)
        assert (reply.facts_withheld, len(reply.facts)) == (True, 0)
        reply = await stub.CompareVersions(request, metadata=people(BEN))
        assert (reply.facts_withheld, len(reply.facts)) == (False, 2)
