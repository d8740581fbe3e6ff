"""Threads, mentions, teams and watches as decisions: given facts, when a verb, then a fact."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import Invalid
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1 import events_pb2
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.collaboration_pb2 import ReviewTarget, ThreadTarget, WatchSetting
from modelog.registry.v1.governance_events_pb2 import FindingRaised
from modelog.registry.v1.teams_pb2 import Team
from services.registry.domain import PROJECT, THREAD, WATCH
from services.registry.domain.mentions import mentions
from services.registry.domain.teams import define_team, known_as, remove_team
from services.registry.domain.threads import (
    MOST_CHARACTERS,
    MOST_COMMENTS,
    edit_comment,
    open_thread,
    post_comment,
    reopen_thread,
    resolve_thread,
    withdraw_comment,
)
from services.registry.domain.watches import remove_watch, set_watch, watch_name
from testkit.scenario import Life, life
from tests.registry.build import (
    ADA,
    BEN,
    CAT,
    MODEL_NAME,
    PROJECT_NAME,
    VERSION_NAME,
    model,
    project_created,
    registered,
)

THREAD_NAME = f"{MODEL_NAME}/threads/1"
ABOUT_MODEL = ThreadTarget(name=MODEL_NAME)
opened = facts.ThreadOpened(target=ABOUT_MODEL, title="Drift", body="hello @users/ben", mentions=[BEN])
requested = events_pb2.TransitionRequested(
    number=1, from_stage="development", to_stage="testing", state=types.TRANSITION_STATE_OPEN
)
reviewed_by_ben = events_pb2.ReviewSubmitted(
    transition=1,
    state=types.TRANSITION_STATE_OPEN,
    kind=types.REVIEW_KIND_GENERAL,
    decision=types.REVIEW_DECISION_APPROVE,
)
found_by_ben = FindingRaised(number=1, severity=types.SEVERITY_HIGH, title="no slice of the young")


def thread(*events: object, by: str = ADA) -> Life:
    return life(THREAD, THREAD_NAME, actor=by).given(*events)  # type: ignore[arg-type]


def posted(comment: int, body: str = "yes") -> facts.CommentPosted:
    return facts.CommentPosted(comment=comment, body=body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("@users/ben and @teams/risk, @users/ben again", ["users/ben", "teams/risk"]),
        ("(@users/ben) @users/ada@corp.example.", ["users/ben", "users/ada@corp.example"]),
        ("mail ben@users/ben or see docs/@users/ben", []),
        ("`@users/ben` is code, @users/cat is not ` alone", ["users/cat"]),
        ("```\n@users/ben\n``` @users/cat", ["users/cat"]),
        ("@serviceaccounts/ci @services/registry @users/", ["serviceaccounts/ci"]),
        ("@teams/Risk @teams/-x", []),
    ],
)
def test_who_is_spoken_to(body: str, expected: list[str]) -> None:
    assert mentions(body) == expected


@settings(max_examples=200, deadline=2000)
@given(st.text(alphabet="@users/teamb.-=`\n x", max_size=8192))
def test_no_text_makes_looking_for_mentions_slow_or_wrong(body: str) -> None:
    try:
        found = mentions(body)
    except Invalid:
        return
    assert all(f"@{one}" in body for one in found)
    assert len(found) == len(set(found)) <= 20


def test_too_many_mentions_are_refused() -> None:
    text = " ".join(f"@users/u{number}" for number in range(21))
    thread(opened).when(post_comment, body=text).then_refused("INVALID_REQUEST")


def test_opening_a_thread_records_whom_it_speaks_to() -> None:
    words = {"title": "Drift", "body": "hello @users/ben"}
    life(THREAD, THREAD_NAME).when(open_thread, model(), target=ABOUT_MODEL, **words).then(opened)
    other = ThreadTarget(name="projects/risk/models/other/versions/1")
    life(THREAD, THREAD_NAME).when(open_thread, model(), target=other, **words).then_refused("INVALID_REQUEST")
    life(THREAD, THREAD_NAME).when(open_thread, types.Model(), target=other, **words).then_refused("MODEL_NOT_FOUND")


def test_a_part_has_to_be_there() -> None:
    words = {"title": "t", "body": "b"}
    reviewed = registered(requested).given(reviewed_by_ben, by=BEN).given(found_by_ben, by=BEN)
    for target, reason in (
        (ThreadTarget(name=VERSION_NAME, transition=1), ""),
        (ThreadTarget(name=VERSION_NAME, transition=2), "TRANSITION_NOT_FOUND"),
        (ThreadTarget(name=VERSION_NAME, review=ReviewTarget(reviewer=BEN, kind=types.REVIEW_KIND_GENERAL)), ""),
        (
            ThreadTarget(name=VERSION_NAME, review=ReviewTarget(reviewer=CAT, kind=types.REVIEW_KIND_GENERAL)),
            "REVIEW_NOT_FOUND",
        ),
        (ThreadTarget(name=VERSION_NAME, finding=1), ""),
        (ThreadTarget(name=VERSION_NAME, finding=2), "FINDING_NOT_FOUND"),
        (ThreadTarget(name=VERSION_NAME, field="documentation.limitations"), ""),
    ):
        outcome = life(THREAD, THREAD_NAME).when(open_thread, model(), reviewed.state, target=target, **words)
        if reason:
            outcome.then_refused(reason)
        else:
            outcome.then(facts.ThreadOpened(target=target, **words))
    of_model = ThreadTarget(name=MODEL_NAME, transition=1)
    life(THREAD, THREAD_NAME).when(open_thread, model(), target=of_model, **words).then_refused("INVALID_REQUEST")
    missing = types.Version()
    target = ThreadTarget(name=VERSION_NAME)
    life(THREAD, THREAD_NAME).when(open_thread, model(), missing, target=target, **words).then_refused(
        "VERSION_NOT_FOUND"
    )


def test_comments_are_numbered_and_belong_to_who_said_them() -> None:
    talk = thread(opened).given(posted(2), by=BEN)
    assert [(one.number, one.author) for one in talk.state.comments] == [(1, ADA), (2, BEN)]
    assert list(talk.state.participants) == [ADA, BEN]
    talk.when(post_comment, body="again @teams/risk").then(
        facts.CommentPosted(comment=3, body="again @teams/risk", mentions=["teams/risk"])
    )


def test_only_its_author_changes_a_comment() -> None:
    talk = thread(opened).given(posted(2), by=BEN)
    talk.when(edit_comment, comment=2, body="no", actors=[ADA]).then_refused("NOT_YOUR_OWN")
    talk.when(edit_comment, comment=2, body="no", actors=[BEN, ADA]).then_refused("NOT_YOUR_OWN")
    talk.when(withdraw_comment, comment=2, actors=[ADA]).then_refused("NOT_YOUR_OWN")
    talk.when(edit_comment, comment=2, body="yes", actors=[BEN]).then_nothing()
    talk.when(edit_comment, comment=3, body="no", actors=[BEN]).then_refused("COMMENT_NOT_FOUND")
    talk.when(edit_comment, comment=2, body="no", actors=[BEN]).then(facts.CommentEdited(comment=2, body="no"))
    talk.given(facts.CommentEdited(comment=2, body="no @users/cat", mentions=[CAT]), by=BEN)
    assert talk.state.comments[1].HasField("edit_time")
    assert list(talk.state.participants) == [ADA, BEN, CAT]


def test_what_was_withdrawn_is_gone_from_the_thread_and_stays_in_the_log() -> None:
    talk = thread(opened).given(posted(2, "secret"), by=BEN)
    talk.when(withdraw_comment, comment=2, actors=[BEN]).then(facts.CommentWithdrawn(comment=2))
    talk.given(facts.CommentWithdrawn(comment=2), by=BEN)
    assert talk.state.comments[1].body == ""
    assert b"secret" in talk.facts[1].event.value
    talk.when(withdraw_comment, comment=2, actors=[BEN]).then_nothing()
    talk.when(edit_comment, comment=2, body="again", actors=[BEN]).then_refused("COMMENT_WITHDRAWN")


def test_a_thread_is_bounded() -> None:
    full = thread(opened, *(posted(number) for number in range(2, MOST_COMMENTS + 1)))
    full.when(post_comment, body="one more").then_refused("TOO_MANY_COMMENTS")
    long = thread(opened, *(posted(number, "x" * 8192) for number in range(2, MOST_CHARACTERS // 8192 + 2)))
    long.when(post_comment, body="x" * 8192).then_refused("THREAD_TOO_LONG")
    long.when(edit_comment, comment=1, body="x" * 8192, actors=[ADA]).then_refused("THREAD_TOO_LONG")


def test_a_thread_is_resolved_and_opened_again() -> None:
    talk = thread(opened)
    talk.when(reopen_thread).then_nothing()
    talk.when(resolve_thread).then(facts.ThreadResolved())
    talk.given(facts.ThreadResolved(), by=BEN)
    assert talk.state.resolved_by == BEN
    talk.when(resolve_thread).then_nothing()
    talk.given(facts.ThreadReopened())
    assert not talk.state.resolved_by
    life(THREAD, THREAD_NAME).when(resolve_thread).then_refused("THREAD_NOT_FOUND")


def test_teams_are_facts_of_the_project() -> None:
    risk, more = Team(members=[ADA]), Team(members=[ADA, BEN])
    one = life(PROJECT, PROJECT_NAME).given(project_created)
    one.when(define_team, team="risk", definition=risk).then(facts.TeamDefined(team="risk", definition=risk))
    one.given(facts.TeamDefined(team="risk", definition=risk))
    one.when(define_team, team="risk", definition=risk).then_nothing()
    one.given(facts.TeamDefined(team="risk", definition=more))
    assert known_as([BEN], one.state) == [BEN, "teams/risk"]
    assert known_as([CAT], one.state) == [CAT]
    one.when(remove_team, team="none").then_refused("TEAM_NOT_FOUND")
    one.given(facts.TeamRemoved(team="risk"))
    assert known_as([BEN], one.state) == [BEN]
    many = life(PROJECT, PROJECT_NAME).given(
        project_created, *(facts.TeamDefined(team=f"t{number}", definition=risk) for number in range(100))
    )
    many.when(define_team, team="risk", definition=risk).then_refused("TOO_MANY_TEAMS")


def test_watches_are_one_small_resource_for_each_principal() -> None:
    name = watch_name(VERSION_NAME, "users/ada@corp.example")
    WATCH.pattern.ids(name)
    assert name == watch_name(MODEL_NAME, "users/ada@corp.example") != watch_name(MODEL_NAME, BEN)
    setting = WatchSetting(event_types=["StageChanged"])
    asked = {"resource": MODEL_NAME, "principal": ADA, "setting": setting}
    mine = life(WATCH, name)
    mine.when(set_watch, types.Model(), **asked).then_refused("RESOURCE_NOT_FOUND")
    done = facts.WatchSet(principal=ADA, resource=MODEL_NAME, setting=setting)
    mine.when(set_watch, model(), **asked).then(done)
    mine.given(done)
    mine.when(set_watch, model(), **asked).then_nothing()
    mine.when(remove_watch, resource=MODEL_NAME).then(facts.WatchRemoved(resource=MODEL_NAME))
    mine.when(remove_watch, resource=PROJECT_NAME).then_nothing()
    many = life(WATCH, name).given(*(facts.WatchSet(resource=f"{PROJECT_NAME}/models/m{n}") for n in range(200)))
    many.when(set_watch, model(), **asked).then_refused("TOO_MANY_WATCHES")
