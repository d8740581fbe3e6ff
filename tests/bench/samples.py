"""What is written in every measure: a registration as a training job sends it, and whole lives of versions as facts."""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.cause import Cause, fact_of
from kernel.fold import Kind, apply, event_type
from kernel.folding import History
from kernel.names import sort_key
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types
from modelog.type.v1.principal_pb2 import Principal
from services.registry.domain import MODEL, PROJECT, VERSION, project, transition, version
from services.registry.domain.access import NOWHERE

PROJECT_NAME = "projects/bench"
FACTS_IN_A_LIFE = 10
WORDS = 1728
_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_PIPELINE = "services/pipeline"


class Stored(NamedTuple):
    """A fact ready to be appended: what the service would publish, without having been asked."""

    subject: str
    fact_id: str
    event: str
    payload: bytes


def model_name(id_: str) -> str:
    return f"{PROJECT_NAME}/models/{id_}"


def registration(parent: str) -> rpc.RegisterVersionRequest:
    """Its fact has some 700 bytes."""
    return rpc.RegisterVersionRequest(
        parent=parent,
        artifact=types.Artifact(
            uri="s3://models/fraud/2026-03-01.onnx", sha256="5e" * 32, size_bytes=48_213, format="onnx"
        ),
        source=types.GitSource(repository="https://git.example/risk/fraud", commit="c0ffee" * 6, path="train.py"),
        hyperparameters={"learning_rate": "0.1", "trees": "300"},
        framework="scikit-learn 1.7",
    )


def foundation(models: list[str]) -> Iterator[Stored]:
    """The facts that make the project and these models."""
    yield from _lived(PROJECT, PROJECT_NAME, [_first(PROJECT, PROJECT_NAME, _project())])
    for name in models:
        yield from _lived(MODEL, name, [_first(MODEL, name, _model())])


def registered(parent: str, count: int) -> Iterator[Stored]:
    """The facts of versions 1 to `count` of a model, one each."""
    template = _life()[:1]
    for number in range(1, count + 1):
        yield from _lived(VERSION, f"{parent}/versions/{number}", template)


def lives(parent: str, count: int) -> Iterator[Stored]:
    """The facts of `count` versions of a model, each registered, described, evaluated, tagged, moved and deprecated."""
    template = _life()
    for number in range(1, count + 1):
        yield from _lived(VERSION, f"{parent}/versions/{number}", template)


def stock(models: range, versions: int) -> dict[Kind, list[History]]:
    """The newest states of many different models with their versions, as the fold leaves them: each registered,
    evaluated and tagged.

    Words are as unequally common as in any language (Zipf), so that searches for rare and for common ones can be told
    apart; every thousandth version carries a tag of its own.
    """
    rows: dict[Kind, list[History]] = {MODEL: [], VERSION: []}
    for model in models:
        chance = random.Random(model)
        name, number = model_name(f"m{model}"), model * (versions + 1) + 1
        details = types.ModelDetails(title=_said(chance, 3), description=_said(chance, 20), owners=["users/ada"])
        rows[MODEL].append(_folded(MODEL, name, number, (facts.ModelCreated(details=details),)))
        for version_number in range(1, versions + 1):
            number += 1
            events = _one_of_stock(chance, model * versions + version_number)
            rows[VERSION].append(_folded(VERSION, f"{name}/versions/{version_number}", number, events))
    return rows


def _folded(kind: Kind, name: str, number: int, events: tuple[Message, ...]) -> History:
    state: Any = kind.message()
    for event in events:
        fact = fact_of(kind, name, state, event, _cause("", number), ())
        apply(kind, state, fact, number, event)
    moment = state.update_time.ToDatetime(tzinfo=UTC)
    return History(name, sort_key(name), number, moment, state.SerializeToString(deterministic=True))


def _one_of_stock(chance: random.Random, number: int) -> tuple[Message, ...]:
    request = registration(PROJECT_NAME)
    registered_ = facts.VersionRegistered(
        artifact=request.artifact,
        source=request.source,
        hyperparameters={"learning_rate": f"{chance.random():.3f}", "trees": str(chance.randrange(50, 500))},
        framework=chance.choice(["scikit-learn 1.7", "xgboost 3.1", "torch 2.9"]),
        documentation=types.Documentation(summary=_said(chance, 30), limitations=_said(chance, 15)),
        stage="development",
        phase=types.PHASE_DEVELOPMENT,
    )
    scores = {
        "auc": types.Metric(value=chance.betavariate(9, 2), higher_is_better=True),
        "brier": types.Metric(value=0.04),
    }
    evaluated = facts.EvaluationRecorded(evaluation_id="holdout", evaluation=types.Evaluation(metrics=scores))
    tag = ("audit", str(number)) if number % 1000 == 0 else ("team", f"team{chance.randrange(50)}")
    return registered_, evaluated, facts.TagSet(key=tag[0], value=tag[1])


def word(rank: int) -> str:
    """The word of a rank: 0 is the most common."""
    return "".join(
        "bdfgklmnprst"[digit] + "aeiou"[digit % 5] for digit in (rank // 144 % 12, rank // 12 % 12, rank % 12)
    )


def _said(chance: random.Random, words: int) -> str:
    return " ".join(word(min(int(chance.paretovariate(0.6)) - 1, WORDS - 1)) for _ in range(words))


def _project() -> Message:
    return project.create_project(types.Project(), title="Bench", description="", actors=["users/ada"])


def _model() -> Message:
    return facts.ModelCreated(details=types.ModelDetails(title="Fraud", owners=["users/ada"]))


def _lived(kind: Kind, name: str, template: list[Fact]) -> Iterator[Stored]:
    """The template's facts as another resource lives them: its own name, ids and requests."""
    for fact in template:
        request_id = f"{name}@{fact.generation}"
        digest = hashlib.sha256(request_id.encode())
        fact.resource, fact.id = name, digest.hexdigest()[:32]
        fact.request_id, fact.request_digest = fact.id, digest.digest()
        fact.correlation_id = fact.id
        yield Stored(kind.subject(name), fact.id, event_type(fact), fact.SerializeToString(deterministic=True))


def _first(kind: Kind, name: str, event: Message) -> Fact:
    return fact_of(kind, name, kind.message(), event, _cause(""), ())


def _cause(reason: str, seconds: int = 0) -> Cause:
    now = _NOW + timedelta(seconds=seconds)
    return Cause(actor=Principal(id=_PIPELINE, auth_method="development"), request_id="r", now=now, reason=reason)


def _life() -> list[Fact]:
    """Ten facts of one version as its verbs decide them, each on the state that the ones before it left."""
    ground, parent, state = types.Project(), types.Model(), types.Version()
    apply(PROJECT, ground, _first(PROJECT, PROJECT_NAME, _project()), 1)
    apply(MODEL, parent, _first(MODEL, model_name("m"), _model()), 2)
    lived: list[Fact] = []
    for decide in _verbs(ground, parent):
        event = decide(state)
        assert event is not None
        fact = fact_of(VERSION, f"{model_name('m')}/versions/1", state, event, _cause("nightly training"), ())
        apply(VERSION, state, fact, len(lived) + 1)
        lived.append(fact)
    assert len(lived) == FACTS_IN_A_LIFE
    return lived


def _verbs(ground: types.Project, parent: types.Model) -> list[Any]:
    request = registration(parent.name)
    given = facts.VersionRegistered(
        artifact=request.artifact,
        source=request.source,
        hyperparameters=request.hyperparameters,
        framework=request.framework,
    )
    said = types.Documentation(summary="Finds fraud in card payments.", limitations="Not for transfers.")
    mask = rpc.UpdateVersionRequest(update_mask={"paths": ["summary", "limitations"]}).update_mask
    scores = {"auc": types.Metric(value=0.93, higher_is_better=True), "brier": types.Metric(value=0.04)}
    measured = types.Evaluation(metrics=scores, method="holdout of March")
    return [
        lambda state: version.register_version(state, parent, ground, NOWHERE, given=given, actors=[_PIPELINE]),
        lambda state: version.describe_version(state, documentation=said, mask=mask),
        lambda state: version.record_evaluation(state, evaluation_id="holdout", evaluation=measured),
        lambda state: version.record_evaluation(state, evaluation_id="recent", evaluation=measured),
        lambda state: version.set_version_tag(state, key="team", value="risk"),
        lambda state: transition.request_transition(state, ground, now=_NOW, to_stage="testing"),
        lambda state: transition.change_stage(state, ground, now=_NOW, to_stage="testing"),
        lambda state: transition.change_stage(state, ground, now=_NOW, to_stage="staging"),
        lambda state: transition.change_stage(state, ground, now=_NOW, to_stage="production"),
        lambda state: version.deprecate_version(state, named="", message="too old", sunset=Timestamp(seconds=1)),
    ]
