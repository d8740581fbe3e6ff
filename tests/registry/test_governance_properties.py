"""Whatever people do and in whatever order, a version moves only as its policy allows."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import Refusal
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.transition import (
    change_stage,
    request_transition,
    submit_review,
    withdraw_transition,
)
from services.registry.domain.version import record_evaluation
from testkit.scenario import Life
from tests.registry.build import ADA, NOW, evaluated, evaluation, project, registered, rule

PEOPLE = [ADA, "users/ben", "users/cat", "users/dan"]
POLICY = project(rule("testing", reviews=2, gates=("evaluations.holdout.metrics.auc >= 0.8",)))

steps = st.one_of(
    st.tuples(st.just("measure"), st.sampled_from([0.7, 0.8, 0.9])),
    st.tuples(st.just("request")),
    st.tuples(st.just("withdraw")),
    st.tuples(st.just("review"), st.sampled_from(PEOPLE), st.sampled_from([True] * 3 + [False]), st.integers(0, 4)),
    st.tuples(st.just("move"), st.sampled_from(["testing", "testing", "testing", "development", "staging"])),
)
review = st.tuples(st.just("review"), st.sampled_from(PEOPLE), st.sampled_from([True] * 5 + [False]), st.just(0))
# Most random orders lead nowhere, so stories are made of campaigns, some of them disturbed, and of single steps.
campaigns = st.tuples(
    st.just([("move", "development"), ("request",)]),
    st.lists(review, min_size=1, max_size=4),
    st.one_of(st.just([]), st.lists(steps, max_size=1)),
    st.just([("move", "testing")]),
).map(lambda parts: [step for part in parts for step in part])
stories = st.lists(st.one_of(campaigns, st.lists(steps, max_size=3)), max_size=6).map(
    lambda parts: [step for part in parts for step in part]
)
reached: list[str] = []


def take(version: Life, step: Any) -> Any:
    """The event a step leads to, None when it is refused or changes nothing."""
    match step:
        case ("measure", auc):
            outcome = version.when(record_evaluation, evaluation_id="holdout", evaluation=evaluation(auc))
        case ("request",):
            outcome = version.when(request_transition, POLICY, now=NOW, to_stage="testing")
        case ("withdraw",):
            outcome = version.when(withdraw_transition, POLICY, transition=version.state.transition.number)
        case ("review", who, yes, late):
            outcome = version.when(
                submit_review,
                POLICY,
                transition=version.state.transition.number - (late == 4),
                reviewers=[who],
                kind=types.REVIEW_KIND_GENERAL,
                decision=types.REVIEW_DECISION_APPROVE if yes else types.REVIEW_DECISION_REJECT,
                comment="",
                evidence=[],
                now=NOW,
            )
        case ("move", stage):
            outcome = version.when(change_stage, POLICY, now=NOW, to_stage=stage)
        case _:
            raise AssertionError(step)
    assert outcome.refusal is None or isinstance(outcome.refusal, Refusal)
    return outcome.event


@settings(max_examples=300, deadline=None)
@given(stories)
def tell_nobody_gets_around_the_policy(story: list[Any]) -> None:
    version = registered(evaluated(0.9), by=ADA)
    since_request: dict[str, bool] = {}
    auc = 0.9
    for step in story:
        event = take(version, step)
        if event is None:
            continue
        match event:
            case facts.EvaluationRecorded():
                auc, since_request = event.evaluation.metrics["auc"].value, {}
            case facts.TransitionRequested():
                since_request = {}
            case facts.ReviewSubmitted():
                since_request[step[1]] = event.decision == types.REVIEW_DECISION_APPROVE
            case facts.TransitionDecided():
                since_request = {}
            case facts.StageChanged() if event.to_stage == "testing":
                assert auc >= 0.8
                assert all(since_request.values())
                assert len(since_request) >= 2
                assert ADA not in since_request
                assert sorted(event.approvers) == sorted(since_request)
                since_request = {}
                reached.append(version.name)
            case facts.StageChanged():
                since_request = {}
        version.given(event, by=step[1] if step[0] == "review" else ADA)


def test_nobody_gets_around_the_policy() -> None:
    reached.clear()
    tell_nobody_gets_around_the_policy()
    assert len(reached) >= 20, "the stories never come to a move, so they prove nothing"
