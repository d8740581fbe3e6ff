"""A verdict judged again on the state of its moment is the verdict; under another policy it tells what would differ."""

from collections import Counter
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.findings import accept_finding, raise_finding, resolve_finding
from services.registry.domain.replay import moment_of, replay, ruled_by, verdict_of
from services.registry.domain.transition import request_transition
from services.registry.domain.version import record_evaluation
from testkit.scenario import Life
from tests.registry.build import ADA, BEN, CAT, NOW, evaluated, evaluation, policy, project, registered, rule
from tests.registry.governing import ANY, after, answered, moving, requested, reviewed

ITEM = types.ChecklistItem(id="oversight", text="a person can stop it", source="Article 14")
RULED = project(
    rule(
        reviews=1,
        gates=("evaluations.holdout.metrics.auc >= 0.8",),
        checklist=[ITEM],
        findings_block_from=types.SEVERITY_MEDIUM,
        approval_valid_seconds=3600,
        sources={"g0": "section 3"},
    ),
    rule("staging", gates=("framework == ''", "size(tags) >= 0")),
)
SKETCH = project(rule(gates=("true",)))
PEOPLE = (BEN, CAT)


def replayed(before: types.Version, verdict: types.Verdict, within: types.Project) -> Any:
    return replay(verdict, before, Access(within, NOWHERE, moment_of(verdict)))


def snapshot(version: Life) -> types.Version:
    copy = types.Version()
    copy.CopyFrom(version.state)
    return copy


steps = st.one_of(
    st.tuples(st.just("measure"), st.sampled_from([0.7, 0.85, 0.9])),
    st.tuples(st.just("answer"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("raise"), st.sampled_from([1, 2, 3])),
    st.tuples(st.just("accept"), st.integers(1, 3), st.integers(1, 48)),
    st.tuples(st.just("resolve"), st.integers(1, 3), st.sampled_from([ADA, CAT])),
    st.tuples(
        st.just("request"),
    ),
    st.tuples(st.just("review"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("tag"), st.sampled_from("ab")),
    st.tuples(st.just("move"), st.sampled_from(["testing", "staging", "development"])),
)
campaign = st.tuples(
    st.lists(steps, max_size=2),
    st.just([("measure", 0.9), ("answer", BEN), ("request",), ("review", CAT)]),
    st.lists(steps, max_size=1),
    st.just([("move", "testing"), ("move", "development")]),
).map(lambda parts: [step for part in parts for step in part])
reached: Counter[str] = Counter()


def take(version: Life, step: Any, now: Any) -> tuple[Any, str]:
    """What a step comes to, and who did it."""
    match step:
        case ("measure", auc):
            made = evaluation(auc)
            return version.when(record_evaluation, evaluation_id="holdout", evaluation=made).event, ADA
        case ("answer", who):
            return answered(version, RULED, "oversight", by=who, now=now).event, who
        case ("raise", severity):
            words = {"severity": severity, "kind": 1, "title": "t", "text": "", "evidence": []}
            return version.when(raise_finding, ANY, **words).event, BEN
        case ("accept", number, hours):
            until = Timestamp()
            until.FromDatetime(now + timedelta(hours=hours))
            words = {"finding": number, "text": "t", "evidence": [], "expire_time": until, "actors": [CAT], "now": now}
            return version.when(accept_finding, ANY, **words).event, CAT
        case ("resolve", number, who):
            words = {"finding": number, "text": "t", "evidence": [], "actors": [who], "now": now}
            return version.when(resolve_finding, ANY, **words).event, who
        case ("request",):
            return version.when(request_transition, RULED, to_stage="testing", now=now).event, ADA
        case ("review", who):
            return reviewed(version, RULED, who, now=now).event, who
        case ("tag", key):
            return facts.TagSet(key=key, value="v"), ADA
        case ("move", stage):
            return moving(version, RULED, stage, now=now).event, ADA
    raise AssertionError(step)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(campaign, st.lists(steps, max_size=4)), max_size=4))
def tell_that_every_verdict_is_reproduced(story: list[list[Any]]) -> None:
    version = registered()
    for step in (one for part in story for one in part):
        now = version.state.update_time.ToDatetime(NOW.tzinfo) + timedelta(minutes=10, microseconds=7)
        before = snapshot(version)
        event, by = take(version, step, now)
        if event is None:
            continue
        version.given(event, by=by)
        if not isinstance(event, facts.StageChanged):
            continue
        verdict = verdict_of(version.state, event.to_stage)
        assert verdict is not None
        again = replayed(before, verdict, RULED)
        assert again.reproduced
        assert again.allowed
        assert not again.differences
        assert list(again.gates) == list(verdict.gates)
        reached[event.to_stage] += 1


def test_every_verdict_is_reproduced() -> None:
    reached.clear()
    tell_that_every_verdict_is_reproduced()
    assert reached["testing"] >= 20, "the stories never come to a governed move, so they prove nothing"


def moved(within: types.Project) -> tuple[types.Version, types.Verdict]:
    """A version as it was before it moved to testing under a policy, and the verdict of that move."""
    version = requested(registered(evaluated(0.9)), within)
    before = snapshot(after(version, reviewed(version, within, BEN), by=BEN))
    verdict = verdict_of(after(version, moving(version, within)).state, "testing")
    assert verdict is not None
    return before, verdict


def test_under_another_policy_it_tells_what_would_have_come_out_differently() -> None:
    before, verdict = moved(project(rule(reviews=1, gates=("evaluations.holdout.metrics.auc >= 0.8",))))
    stricter = policy(rule(reviews=2, gates=("evaluations.holdout.metrics.auc >= 0.95",), checklist=[ITEM]))
    again = replayed(before, verdict, ruled_by(SKETCH, SKETCH.lifecycle, stricter))
    assert (again.allowed, again.reproduced) == (False, False)
    told = {one.name: (one.HasField("before"), one.HasField("after")) for one in again.differences}
    assert told == {"g0": (True, True), "general": (True, True), "checklist.oversight": (False, True)}
    looser = replayed(before, verdict, ruled_by(SKETCH, SKETCH.lifecycle, policy()))
    assert (looser.allowed, looser.reproduced) == (True, False)
    assert [(one.name, one.HasField("after")) for one in looser.differences] == [("g0", False), ("general", False)]


def test_what_ran_out_since_counts_as_it_did_then() -> None:
    within = project(rule(reviews=1, approval_valid_seconds=30 * 24 * 3600 * 365))
    before, verdict = moved(within)
    assert replayed(before, verdict, within).reproduced
    short = ruled_by(within, within.lifecycle, policy(rule(reviews=1, approval_valid_seconds=60)))
    assert not replayed(before, verdict, short).allowed


def test_reviews_of_one_kind_by_two_roles_are_told_apart() -> None:
    both = [types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role=role) for role in ("", "validator")]
    within = project(types.TransitionRule(to_stage="testing", required_reviews=both))
    within.roles.add(principal=BEN, role="validator")
    before, verdict = moved(within)
    assert replayed(before, verdict, within).reproduced
    del within.roles[:]
    (one,) = replayed(before, verdict, within).differences
    assert (one.name, one.after.condition) == ("general", "approved by 1 holding validator")
