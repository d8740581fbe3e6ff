"""The facts of one version's life, as the services would record them, for tests of records."""

from datetime import UTC, datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kernel.cause import Cause, fact_of
from kernel.fold import kind
from kernel.names import subject_of
from modelog.archive.v1 import events_pb2 as archive
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1.types_pb2 import TrafficShare
from modelog.log.v1.fact_pb2 import Fact, Read
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as types
from modelog.type.v1.principal_pb2 import Principal

PROJECT = "projects/risk"
MODEL = f"{PROJECT}/models/fraud"
VERSION = f"{MODEL}/versions/3"
OTHER = f"{MODEL}/versions/31"
ENDPOINT = f"{PROJECT}/endpoints/eu"
ROLLOUT = f"{ENDPOINT}/rollouts/1"
ALERT = f"{PROJECT}/monitors/m/alerts/1"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Chronicle:
    """Makes facts with the right generations, an hour apart, and where they stand in the log."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, Fact]] = []
        self._generations: dict[str, int] = {}

    def add(self, service: str, resource: str, event: Message, *, by: str = "users/ada", reads: int = 0) -> Fact:
        state = Fact(generation=self._generations.get(resource, 0))
        self._generations[resource] = state.generation + 1
        number = len(self.facts) + 1
        cause = Cause(
            actor=Principal(id=by, auth_method="development"),
            request_id=f"request-{number}",
            now=START + timedelta(hours=number),
            reason="as agreed",
            correlation_id=f"request-{number}",
        )
        fact = fact_of(
            kind(service, "projects/*", Fact, lambda *_: None),
            resource,
            _State(state.generation),
            event,
            cause,
            [Read(resource="projects/risk", revision=reads)] if reads else [],
        )
        self.facts.append((subject_of(service, resource), fact))
        return fact


class _State:
    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.update_time = Fact().recorded_at


def life_of_version(artifact_sha256: str) -> Chronicle:
    """From the project's first fact to the version's retirement; its last fact is VersionRetired."""
    story = Chronicle()
    artifact = types.Artifact(uri=f"cas:sha256/{artifact_sha256}", sha256=artifact_sha256, size_bytes=9, format="onnx")
    story.add("registry", PROJECT, registry.ProjectCreated(title="Risk"))
    details = types.ModelDetails(title="Fraud", description="Finds fraud.", task="classification", owners=["users/ada"])
    story.add("registry", MODEL, registry.ModelCreated(details=details))
    registered = registry.VersionRegistered(
        artifact=artifact,
        source=types.GitSource(repository="https://git.test/fraud", commit="ab" * 20, path="train.py", dirty=True),
        training_data=[types.DataSet(name="2025", sha256="cd" * 32)],
        hyperparameters={"depth": "3", "alpha": "0.1"},
        framework="scikit-learn 1.9",
        stage="development",
        author="users/ada",
    )
    story.add("registry", VERSION, registered)
    story.add("registry", OTHER, registry.VersionRegistered(artifact=artifact, stage="development"))
    described = registry.VersionDescribed(
        documentation=types.Documentation(summary="A tree.", limitations="Not for | loans.\n# Really."),
        update_mask=FieldMask(paths=["summary", "limitations"]),
    )
    story.add("registry", VERSION, described)
    evaluation = types.Evaluation(
        metrics={"auc": types.Metric(value=0.91, higher_is_better=True)},
        slices=[types.Slice(column="country", value="de", rows=10, metrics={"auc": types.Metric(value=0.8)})],
        fairness=[types.Fairness(attribute="sex", metrics={"gap": types.Metric(value=0.05)})],
    )
    story.add("registry", VERSION, registry.EvaluationRecorded(evaluation_id="holdout", evaluation=evaluation))
    review = registry.ReviewSubmitted(
        transition=1,
        kind=types.REVIEW_KIND_FAIRNESS,
        decision=types.REVIEW_DECISION_APPROVE,
        comment="fair enough",
    )
    story.add("registry", VERSION, review, by="users/bob")
    moved = registry.StageChanged(from_stage="staging", to_stage="production", approvers=["users/bob"])
    story.add("registry", VERSION, moved, reads=1)
    _serve(story)
    story.add("registry", VERSION, registry.VersionDeprecated(successor=f"{MODEL}/versions/4"))
    story.add("registry", VERSION, registry.VersionRetired(from_stage="production", artifact=artifact))
    return story


def _serve(story: Chronicle) -> None:
    story.add("deployment", ENDPOINT, deployment.EndpointCreated(environment=f"{PROJECT}/environments/prod"))
    story.add("deployment", ROLLOUT, deployment.RolloutRequested(version=VERSION))
    story.add("deployment", ROLLOUT, deployment.RolloutPromoted())
    for percent in (10, 100, 100, 0):
        rest = [TrafficShare(version=OTHER, percent=100 - percent)] if percent < 100 else []
        own = [TrafficShare(version=VERSION, percent=percent)] if percent else []
        shifted = deployment.TrafficShifted(traffic=[*own, *rest], rollout=ROLLOUT, requested_by="users/op")
        story.add("deployment", ENDPOINT, shifted)
    story.add("deployment", f"{PROJECT}/endpoints/us", deployment.TrafficShifted(traffic=[TrafficShare(version=OTHER)]))
    story.add("monitoring", ALERT, monitoring.AlertRaised(version=VERSION, endpoint=ENDPOINT, check="drift"))
    story.add("monitoring", ALERT, monitoring.AlertAcknowledged(note="seen"), by="users/op")
    other = monitoring.AlertRaised(version=OTHER, endpoint=ENDPOINT, check="drift")
    story.add("monitoring", f"{PROJECT}/monitors/m/alerts/2", other)


def whole_life() -> Chronicle:
    """`life_of_version`, and what else leaves rows in the views of some service."""
    story = life_of_version("ab" * 32)
    for alias, version in (("champion", VERSION), ("challenger", OTHER), ("champion", OTHER)):
        story.add("registry", MODEL, registry.AliasAssigned(alias=alias, version=version))
    story.add("registry", f"{MODEL}/versions/32", registry.VersionRegistered(parent_version=OTHER, stage="development"))
    for name in ("eu-1", "eu-2"):
        endpoint = f"{PROJECT}/endpoints/{name}"
        story.add("deployment", endpoint, deployment.EndpointCreated(environment=f"{PROJECT}/environments/prod"))
        shares = [TrafficShare(version=VERSION, percent=30), TrafficShare(version=OTHER, percent=70)]
        story.add("deployment", endpoint, deployment.TrafficShifted(traffic=shares))
    story.add("deployment", ROLLOUT, deployment.RolloutSucceeded())
    for number, kept in enumerate((MODEL, VERSION), start=1):
        placed = archive.HoldPlaced(resources=[kept])
        story.add("archive", f"{PROJECT}/holds/case-{number}", placed)
    return story
