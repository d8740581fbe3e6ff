"""Facts and states for tests of decisions, with the defaults most of them share."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1 import types_pb2 as registry_types
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT
from testkit.scenario import Life, life

PROJECT = "projects/risk"
ENVIRONMENT_NAME = f"{PROJECT}/environments/production"
ENDPOINT_NAME = f"{PROJECT}/endpoints/fraud-eu"
SHA = "ab" * 32
NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)


def version_name(number: int) -> str:
    return f"{PROJECT}/models/fraud/versions/{number}"


def rollout_name(number: int) -> str:
    return f"{ENDPOINT_NAME}/rollouts/{number}"


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(int(value * 1000))
    return duration


def environment(**terms: Any) -> Life:
    given = {"driver": "process", "admitted_phases": [PHASE_PRODUCTION]} | terms
    return life(ENVIRONMENT, ENVIRONMENT_NAME).given(facts.EnvironmentDefined(**given))


def endpoint(*events: Any, replicas: int = 1) -> Life:
    created = facts.EndpointCreated(
        environment=ENVIRONMENT_NAME, address="http://127.0.0.1:8600/risk/fraud-eu", replicas=replicas
    )
    return life(ENDPOINT, ENDPOINT_NAME).given(created, *events)


def share(number: int, percent: int = 100, ready: int = 1, by: str = "users/rita") -> types.TrafficShare:
    return types.TrafficShare(version=version_name(number), percent=percent, ready_replicas=ready, approved_by=[by])


def shifted(*shares: types.TrafficShare, rollout: int = 1) -> facts.TrafficShifted:
    return facts.TrafficShifted(traffic=shares, rollout=rollout_name(rollout), environment=ENVIRONMENT_NAME)


def version(number: int = 2, *events: Any, **artifact: Any) -> Life:
    """In production, approved by users/rita."""
    given = {"uri": f"cas:sha256/{SHA}", "sha256": SHA, "format": "onnx"} | artifact
    registered = registry.VersionRegistered(
        artifact=registry_types.Artifact(**given), stage="development", phase=registry_types.PHASE_DEVELOPMENT
    )
    promoted = registry.StageChanged(
        to_stage="production", to_phase=PHASE_PRODUCTION, artifact_sha256=SHA, approvers=["users/rita"]
    )
    return life(KNOWN_VERSION, version_name(number)).given(registered, promoted, *events)


def canary(*percents: int, hold: float = 60, pause: bool = False, **analysis: Any) -> types.Strategy:
    steps = [types.CanaryStep(percent=percent, duration=seconds(hold), pause=pause) for percent in percents]
    judged = types.Analysis(**analysis) if analysis else None
    return types.Strategy(canary=types.Canary(steps=steps, analysis=judged))


RECREATE = types.Strategy(recreate=types.Recreate())
BLUE_GREEN = types.Strategy(blue_green=types.BlueGreen())


def requested(strategy: types.Strategy | None = None, *, before: bool = True, **more: Any) -> facts.RolloutRequested:
    """Version 2 takes over from version 1, or from nothing."""
    given: dict[str, Any] = {
        "version": version_name(2),
        "strategy": strategy or canary(10, 50),
        "environment": ENVIRONMENT_NAME,
        "artifact_sha256": SHA,
        "replicas": 1,
        "approved_by": ["users/rita"],
        "phase": PHASE_PRODUCTION,
    }
    if before:
        given |= {"previous_version": version_name(1), "previous_traffic": [share(1)]}
    return facts.RolloutRequested(**given | more)


def rollout(*events: Any, number: int = 2, by: str = "users/dora") -> Life:
    return life(ROLLOUT, rollout_name(number), actor=by).given(*events)


def started() -> facts.RolloutStarted:
    return facts.RolloutStarted(version=version_name(2), previous_version=version_name(1), environment=ENVIRONMENT_NAME)


def observed(ready: int, wanted: int = 1) -> facts.ReplicaObserved:
    return facts.ReplicaObserved(ready_replicas=ready, wanted_replicas=wanted)


def progressing(strategy: types.Strategy | None = None, *events: Any, before: bool = True) -> Life:
    return rollout(requested(strategy, before=before), started(), observed(1), *events)


def step(number: int, percent: int) -> facts.StepStarted:
    return facts.StepStarted(step=number, percent=percent)


def passed(number: int, **more: Any) -> facts.StepPassed:
    return facts.StepPassed(step=number, **more)


def back(trigger: Any = types.TRIGGER_ANALYSIS) -> facts.RollbackStarted:
    return facts.RollbackStarted(cause="error rate 0.5 is above 0.01", trigger=trigger)


def succeeded() -> facts.RolloutSucceeded:
    return facts.RolloutSucceeded(
        version=version_name(2), previous_version=version_name(1), environment=ENVIRONMENT_NAME
    )
