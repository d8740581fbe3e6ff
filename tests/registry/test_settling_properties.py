"""Whatever a maker does, by whatever account and in whoever's place: alone they settle and approve nothing."""

from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import governance_events_pb2 as found
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import PROJECT
from services.registry.domain.accounts import register_service_account
from services.registry.domain.delegations import delegate_reviews, end_delegation
from services.registry.domain.findings import accept_finding, confirm_finding, resolve_finding
from services.registry.domain.transition import change_stage, request_transition, submit_review
from testkit.scenario import Life, life
from tests.registry.build import ADA, BEN, CAT, NOW, PROJECT_NAME, policy, project_created, registered, rule
from tests.registry.governing import raised

BOT, CI = "serviceaccounts/bot", "serviceaccounts/ci"
OWNERS = {BOT: ADA, CI: BEN}
POLICY = policy(rule(reviews=2))

# Ada made the version, with her bot; ben and cat are honest, ben's ci is run by whoever.
who = st.sampled_from([ADA, ADA, BOT, BEN, CAT, CI])
places = st.sampled_from(["", "", ADA, BEN, CAT])
steps = st.one_of(
    st.tuples(st.just("delegate"), who, who),
    st.tuples(st.just("end"), who, st.integers(1, 3)),
    st.tuples(st.just("resolve"), who),
    st.tuples(st.just("confirm"), who),
    st.tuples(st.just("accept"), who),
    st.tuples(
        st.just("request"),
    ),
    st.tuples(st.just("review"), who, places),
    st.tuples(
        st.just("move"),
    ),
)
campaigns = st.tuples(
    st.sampled_from([("delegate", BEN, ADA), ("delegate", CAT, BEN), ("delegate", BEN, CAT)]),
    st.sampled_from([("resolve", ADA), ("resolve", BOT), ("accept", BEN)]),
    st.sampled_from([("confirm", ADA), ("confirm", BEN), ("confirm", CI)]),
    st.just(("request",)),
    st.tuples(st.just("review"), who, places),
    st.tuples(st.just("review"), who, places),
    st.tuples(st.just("review"), st.sampled_from([BEN, CAT, CI]), st.just("")),
    st.just(("move",)),
).map(list)
stories = st.lists(st.one_of(campaigns, st.lists(steps, max_size=3)), max_size=4).map(
    lambda parts: [step for part in parts for step in part]
)
reached: list[str] = []


def behind(principals: Any) -> set[str]:
    """The people, said anew here, so that the rule is not proved by itself."""
    return {OWNERS.get(one, one) for one in principals if one}


def until() -> Timestamp:
    time = Timestamp()
    time.FromDatetime(NOW + timedelta(days=30))
    return time


def on_project(project: Life, step: Any) -> Any:
    match step:
        case ("delegate", by, to):
            words = {"delegate": to, "kind": 0, "model": "", "expire_time": until(), "actors": [by], "now": NOW}
            return project.when(delegate_reviews, **words).event
        case ("end", by, number):
            return project.when(end_delegation, delegation=number, actors=[by]).event
    return None


def on_version(version: Life, within: types.Project, step: Any) -> Any:
    words: dict[str, Any] = {"finding": 1, "actors": [step[1] if len(step) > 1 else ADA], "now": NOW}
    answer = {"text": "t", "evidence": []}
    match step:
        case ("resolve", _):
            return version.when(resolve_finding, within, **words, **answer).event
        case ("confirm", _):
            return version.when(confirm_finding, within, **words).event
        case ("accept", _):
            return version.when(accept_finding, within, **words, **answer, expire_time=None).event
        case ("request",):
            return version.when(request_transition, within, to_stage="testing", now=NOW).event
        case ("review", by, place):
            return version.when(
                submit_review, within, transition=version.state.transition.number, reviewers=[by],
                kind=types.REVIEW_KIND_GENERAL, decision=types.REVIEW_DECISION_APPROVE, comment="", evidence=[],
                now=NOW, delegated_by=place,
            ).event  # fmt: skip
        case ("move",):
            return version.when(change_stage, within, to_stage="testing", now=NOW).event
    return None


@settings(max_examples=400, deadline=None)
@given(stories)
def tell_that_no_maker_settles_anything_alone(story: list[Any]) -> None:
    project = life(PROJECT, PROJECT_NAME).given(project_created, facts.PolicySet(policy=POLICY))
    for account, owner in OWNERS.items():
        event = project.when(register_service_account, account=account, owner=owner, description="").event
        project.given(event)  # type: ignore[arg-type]
    version = raised(registered(by=BOT, author=ADA))
    independent: set[str] = set()
    for step in story:
        by = step[1] if len(step) > 1 else ADA
        if (event := on_project(project, step)) is not None:
            project.given(event, by=by)
            continue
        if (event := on_version(version, project.state, step)) is None:
            continue
        version.given(event, by=by)
        match event:
            case found.FindingResolved(state=types.FINDING_STATE_RESOLVED) | found.FindingAccepted():
                independent |= behind([by])
                assert ADA not in behind([by])
            case found.FindingConfirmed():
                independent |= behind([by])
                assert ADA not in behind([by])
            case facts.ReviewSubmitted():
                assert ADA not in behind([by, event.delegated_by])
            case facts.StageChanged():
                assert independent, "the finding was settled by nobody else"
                approving = [behind([one.reviewer, one.delegated_by]) for one in version.state.transition.reviews]
                assert any(not first & second for first in approving for second in approving)
                assert ADA not in set().union(*approving)
                reached.append(event.to_stage)


def test_no_maker_settles_anything_alone() -> None:
    reached.clear()
    tell_that_no_maker_settles_anything_alone()
    assert len(reached) >= 20, "the stories never come to a move, so they prove nothing"
