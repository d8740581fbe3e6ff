"""A fact of every kind that others have a word for, with everything in it that they ask for."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from modelog.archive.v1 import events_pb2 as archive
from modelog.archive.v1 import retention_events_pb2 as retention
from modelog.archive.v1.record_erasures_pb2 import ARTIFACT_OUTCOME_GONE, ARTIFACT_OUTCOME_SHARED
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1 import strategies_events_pb2 as strategies
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import alert_events_pb2 as alerts
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.provenance.envelopes import seal
from modelog.registry.v1 import artifacts_events_pb2 as artifacts
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import DataSet, Evaluation

PROJECT = "projects/risk"
VERSION = f"{PROJECT}/models/fraud/versions/3"
ENVIRONMENT = ENV = f"{PROJECT}/environments/production"
ENDPOINT = f"{PROJECT}/endpoints/fraud-eu"
ROLLOUT = f"{ENDPOINT}/rollouts/9"
MONITOR = f"{PROJECT}/monitors/fraud-eu"
ALERT = f"{MONITOR}/alerts/4"
RETRAINING = f"{MONITOR}/retrainings/2"
RECORD = f"{PROJECT}/records/fraud-3"
REVISION = 41
FORMER = f"{PROJECT}/models/fraud/versions/2"


class Known:
    """What the services would say."""

    environments: Mapping[str, str] = {ENDPOINT: ENVIRONMENT}
    endpoints: Mapping[str, str] = {ALERT: ENDPOINT}

    def environment(self, endpoint: str, revision: int) -> str:
        assert revision == REVISION
        return self.environments.get(endpoint, "")

    def endpoint(self, alert: str, revision: int) -> str:
        assert revision == REVISION
        return self.endpoints.get(alert, "")


class Nothing(Known):
    environments: Mapping[str, str] = {}
    endpoints: Mapping[str, str] = {}


def fact(resource: str, event: Message) -> Fact:
    made = Fact(id="c0ffee", resource=resource, generation=1, reason="weil", correlation_id="chain-7")
    made.actor.id = "users/ada"
    made.recorded_at.FromJsonString("2026-03-01T12:00:00.000001Z")
    made.event.Pack(event)
    return made


def registered() -> registry.VersionRegistered:
    event = registry.VersionRegistered(parent_version=FORMER)
    event.artifact.sha256 = "5e" * 32
    event.source.repository, event.source.commit = "https://git.example/risk/fraud", "c0ffee"
    event.training_data.add(name="loans", uri="s3://lake/loans/2026.parquet", sha256="ab" * 32)
    event.training_data.add(name="by name only")
    event.training_data.add(uri="file:///data/local.csv")
    event.training_data.add(description="says nothing of where it is")
    return event


def events(key: Any) -> list[Fact]:
    """key: a private key that signs the recorded statement."""
    return [
        fact(VERSION, registered()),
        fact(VERSION, artifacts.ProvenanceRecorded(envelope=seal(b"{}", key))),
        fact(VERSION, registry.EvaluationRecorded(evaluation_id="e1", evaluation=_evaluation())),
        fact(ENVIRONMENT, deployment.EnvironmentDefined(driver="process")),
        fact(ENVIRONMENT, deployment.EnvironmentChanged(description="new")),
        fact(ENVIRONMENT, deployment.EnvironmentRemoved()),
        fact(ROLLOUT, deployment.RolloutStarted(version=VERSION, environment=ENV)),
        fact(ROLLOUT, deployment.RolloutSucceeded(version=VERSION, environment=ENV)),
        fact(
            ROLLOUT,
            deployment.RolloutSucceeded(version=VERSION, previous_version=FORMER, environment=ENV),
        ),
        fact(ROLLOUT, strategies.RolloutShadowed(version=VERSION, serving_version=FORMER, environment=ENV)),
        fact(ROLLOUT, deployment.RolloutFailed(version=VERSION, cause="it did not start")),
        fact(ROLLOUT, deployment.RolledBack(version=VERSION, restored_version=FORMER, cause="too slow")),
        fact(ENDPOINT, deployment.EndpointAddressed(address="http://127.0.0.1:1/")),
        fact(ENDPOINT, deployment.EndpointRemoved()),
        fact(ALERT, monitoring.AlertRaised(version=VERSION, endpoint=ENDPOINT, monitor=MONITOR, check="drift")),
        fact(ALERT, alerts.AlertReopened(version=VERSION, endpoint=ENDPOINT, check="drift")),
        fact(ALERT, monitoring.AlertResolved()),
        fact(RETRAINING, monitoring.RetrainingStarted(run="https://ci.example/7")),
        fact(RETRAINING, monitoring.RetrainingAnswered(version=VERSION)),
        fact(RETRAINING, monitoring.RetrainingAbandoned()),
        fact(RECORD, retention.RecordErased(version=VERSION, artifact=ARTIFACT_OUTCOME_GONE)),
        fact(RECORD, archive.ArchivingStarted(version=VERSION)),
        fact(RECORD, archive.RecordSealed(version=VERSION)),
        fact(RECORD, archive.ArchivingFailed(version=VERSION, failure_reason="ARTIFACT_MISSING", failure_message="no")),
    ]


def shared() -> Fact:
    """A record that lost an artifact which is still there, for another version has it too."""
    return fact(RECORD, retention.RecordErased(version=VERSION, artifact=ARTIFACT_OUTCOME_SHARED))


def _evaluation() -> Evaluation:
    return Evaluation(data_set=DataSet(name="holdout", uri="https://data.example/holdout.csv"))


def kind_of(one: Fact) -> str:
    return one.event.type_url.rpartition("/")[2].removeprefix("modelog.")
