"""Facts and messages that most tests of the registry begin with."""

from datetime import timedelta
from typing import Any

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import MODEL, PROJECT, VERSION
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.lifecycle import BUILT_IN
from testkit.scenario import START, Life, life

PROJECT_NAME = "projects/risk"
MODEL_NAME = f"{PROJECT_NAME}/models/fraud"
VERSION_NAME = f"{MODEL_NAME}/versions/1"
DIGEST = "ab" * 32

# After whatever a test has let happen.
NOW = START + timedelta(days=300)
ADA, BEN, CAT = "users/ada", "users/ben", "users/cat"

project_created = facts.ProjectCreated(title="Risk", lifecycle=BUILT_IN)
model_created = facts.ModelCreated(details=types.ModelDetails(title="Fraud", owners=[ADA]))


def artifact() -> types.Artifact:
    return types.Artifact(uri="s3://models/fraud.onnx", sha256=DIGEST, size_bytes=1234, format="onnx")


def version_registered(**fields: Any) -> facts.VersionRegistered:
    return facts.VersionRegistered(artifact=artifact(), stage="development", phase=types.PHASE_DEVELOPMENT, **fields)


def evaluation(auc: float, **more: Any) -> types.Evaluation:
    return types.Evaluation(metrics={"auc": types.Metric(value=auc, higher_is_better=True)}, **more)


def evaluated(auc: float, evaluation_id: str = "holdout") -> facts.EvaluationRecorded:
    return facts.EvaluationRecorded(evaluation_id=evaluation_id, evaluation=evaluation(auc))


def policy(*rules: types.TransitionRule) -> types.Policy:
    return types.Policy(rules=rules)


def rule(
    to_stage: str = "testing", *, gates: tuple[str, ...] = (), reviews: int = 0, **more: Any
) -> types.TransitionRule:
    """A rule with gates named g0, g1, ... and so many general reviews."""
    needed = [types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=reviews)] if reviews else []
    named = [types.Gate(name=f"g{index}", expression=text) for index, text in enumerate(gates)]
    return types.TransitionRule(to_stage=to_stage, gates=named, required_reviews=needed, **more)


def project(*rules: types.TransitionRule, lifecycle: types.Lifecycle | None = None) -> types.Project:
    """The state of a project with these rules."""
    one = life(PROJECT, PROJECT_NAME).given(project_created)
    if lifecycle is not None:
        one.given(facts.LifecycleSet(lifecycle=lifecycle))
    if rules:
        one.given(facts.PolicySet(policy=policy(*rules)))
    state: types.Project = one.state
    return state


def at(state: types.Project, everywhere: types.Project = NOWHERE, now: Any = NOW) -> Access:
    """Who holds what in a project now."""
    return Access(state, everywhere, now)


def model(*events: Any) -> types.Model:
    state: types.Model = life(MODEL, MODEL_NAME).given(model_created, *events).state
    return state


def registered(*events: Any, by: str = ADA, name: str = VERSION_NAME, **fields: Any) -> Life:
    """The life of a version that `by` registered."""
    return life(VERSION, name, actor=by).given(version_registered(**fields), *events)
