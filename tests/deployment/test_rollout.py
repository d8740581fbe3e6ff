"""Rollouts as people ask for them: what is refused and why, pausing, going back."""

from typing import Any

import pytest

from access.fold import KNOWN_PROJECT
from access.own import check_own
from kernel.errors import Denied
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION, PHASE_STAGING
from services.deployment.domain import KNOWN_VERSION, ROLLOUT
from services.deployment.domain import rollout as verbs
from services.deployment.domain.admission import Around
from testkit.scenario import Life, Outcome, life
from tests.deployment.build import (
    BLUE_GREEN,
    NOW,
    RECREATE,
    SHA,
    back,
    canary,
    endpoint,
    environment,
    observed,
    passed,
    progressing,
    requested,
    rollout,
    rollout_name,
    share,
    shifted,
    started,
    step,
    succeeded,
    version,
    version_name,
)

FIRST = progressing(None, facts.RolloutPromoted(), succeeded(), before=False)
FIRST.state.name = rollout_name(1)
NOBODY = life(KNOWN_PROJECT, "projects/all")


def ask(
    *,
    on: Life | None = None,
    at: Life | None = None,
    of: Life | None = None,
    before: types.Rollout | None = None,
    strategy: types.Strategy | None = None,
    by: str | list[str] = "users/dora",
    within: Life | None = None,
    everywhere: Life | None = None,
    state: Life | None = None,
) -> Outcome:
    return (state or life(ROLLOUT, rollout_name(2))).when(
        verbs.request,
        (on or endpoint(shifted(share(1)))).state,
        (at or environment()).state,
        (of or version()).state,
        (within or NOBODY).state,
        (everywhere or NOBODY).state,
        before or FIRST.state,
        strategy=strategy or canary(10, 50),
        by=[by] if isinstance(by, str) else by,
        around=Around(NOW),
    )


def test_a_rollout_remembers_what_was_there_before_and_who_approved() -> None:
    ask().then(requested(canary(10, 50)))
    asked = rollout(requested()).state
    assert (asked.requested_by, list(asked.approved_by)) == ("users/dora", ["users/rita"])


BOT = "serviceaccounts/bot"


def owned_by(owner: str) -> Life:
    """A project in which the account belongs to somebody."""
    registered = registry.ServiceAccountRegistered(account=BOT, owner=owner)
    return life(KNOWN_PROJECT, "projects/risk").given(registered)


def by_account(owner: str) -> Life:
    """A version that the account approved, when it belonged to `owner`."""
    moved = registry.StageChanged(to_stage="production", to_phase=PHASE_PRODUCTION, artifact_sha256=SHA)
    moved.approvers.append(BOT)
    moved.approving_people.extend([BOT, owner] if owner else [BOT])
    return version(2, moved)


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("VERSION_NOT_FOUND", {"of": life(KNOWN_VERSION, version_name(2))}),
    ("VERSION_RETIRED", {"of": version(2, registry.VersionRetired(to_stage="retired"))}),
    ("VERSION_DEPRECATED", {"of": version(2, registry.VersionDeprecated(successor=version_name(3)))}),
    ("PHASE_NOT_ADMITTED", {"at": environment(admitted_phases=[PHASE_STAGING])}),
    ("FORMAT_NOT_SERVED", {"of": version(2, format="pickle")}),
    ("ARTIFACT_NOT_APPROVED", {"of": version(2, sha256="cd" * 32)}),
    ("APPROVALS_MISSING", {"at": environment(approvals_needed=2)}),
    ("APPROVER_MAY_NOT_DEPLOY", {"at": environment(protected=True), "by": "users/rita"}),
    ("APPROVER_MAY_NOT_DEPLOY", {"at": environment(protected=True), "by": ["users/dora", "users/rita"]}),
    ("APPROVER_MAY_NOT_DEPLOY", {"at": environment(protected=True), "by": BOT, "within": owned_by("users/rita")}),
    ("APPROVER_MAY_NOT_DEPLOY", {"at": environment(protected=True), "by": BOT, "everywhere": owned_by("users/rita")}),
    ("APPROVER_MAY_NOT_DEPLOY", {"at": environment(protected=True), "of": by_account("users/dora")}),
    (
        "APPROVER_MAY_NOT_DEPLOY",
        {"at": environment(protected=True), "of": by_account(""), "within": owned_by("users/dora")},
    ),
    ("ENVIRONMENT_REMOVED", {"at": environment().given(facts.EnvironmentRemoved())}),
    ("ENDPOINT_REMOVED", {"on": endpoint(facts.EndpointRemovalStarted())}),
    ("ROLLOUT_UNFINISHED", {"before": progressing().state}),
    ("ROLLOUT_UNFINISHED", {"before": progressing(None, back()).state}),
    ("ALREADY_SERVING", {"on": endpoint(shifted(share(2)))}),
    ("NUMBER_TAKEN", {"state": rollout(requested())}),
    ("INVALID_REQUEST", {"strategy": canary(50, 10)}),
    ("INVALID_REQUEST", {"strategy": types.Strategy()}),
]


@pytest.mark.parametrize(("reason", "given"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_may_not_be_rolled_out(reason: str, given: dict[str, Any]) -> None:
    ask(**given).then_refused(reason)


def test_protection_concerns_approvers_only() -> None:
    assert ask(at=environment(protected=True)).event is not None
    assert ask(at=environment(approvals_needed=1)).event is not None
    assert ask(at=environment(), by="users/rita").event is not None
    assert ask(at=environment(protected=True), by=BOT, within=owned_by("users/otto")).event is not None


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("users/ada", {"users/ada", BOT, "users/eve"}),
        ("", {BOT, "users/eve"}),
    ],
)
def test_makers_are_known_with_who_owned_their_accounts(owner: str, expected: set[str]) -> None:
    registered = registry.VersionRegistered(author="users/eve", owners=[owner] if owner else [])
    known = life(KNOWN_VERSION, version_name(3), actor=BOT).given(registered).state
    assert set(known.makers) == expected


def test_an_author_rolls_out_what_they_made_and_only_where_it_is_not_protected() -> None:
    made = life(KNOWN_VERSION, version_name(2), actor="users/ada").given(registry.VersionRegistered()).state
    others = life(KNOWN_VERSION, version_name(2), actor="users/eve").given(registry.VersionRegistered()).state
    state, on = types.Rollout(), endpoint().state
    check_own(["users/ada"], state, (on, environment().state, made))
    check_own([], state, (on, environment().state, others))  # An operator needs to have made nothing.
    for principals, at, of, reason in (
        (["users/ada"], environment(protected=True), made, "PROTECTED_ENVIRONMENT"),
        ([], environment(protected=True), made, "PROTECTED_ENVIRONMENT"),
        (["users/ada"], environment(), others, "NOT_YOUR_OWN"),
        (["users/ada", "users/bob"], environment(), made, "NOT_YOUR_OWN"),
    ):
        with pytest.raises(Denied) as refused:
            check_own(principals, state, (on, at.state, of))
        assert refused.value.reason == reason


def test_pausing_and_resuming() -> None:
    paused = facts.RolloutPaused(cause="lunch")
    progressing().when(verbs.pause, cause="lunch").then(paused)
    progressing(None, paused).when(verbs.pause, cause="again").then_nothing()
    progressing(None, paused).when(verbs.resume).then(facts.RolloutResumed())
    progressing().when(verbs.resume).then_nothing()
    rollout(requested()).when(verbs.pause, cause="").then_refused("ROLLOUT_NOT_PROGRESSING")
    rollout(requested()).when(verbs.resume).then_refused("ROLLOUT_NOT_PAUSED")
    life(ROLLOUT, rollout_name(9)).when(verbs.pause, cause="").then_refused("ROLLOUT_NOT_FOUND")
    resumed = progressing(None, step(1, 10), paused, facts.RolloutResumed()).state
    assert (resumed.state, resumed.cause) == (types.ROLLOUT_STATE_PROGRESSING, "")


def test_going_back_is_asked_for_once() -> None:
    asked = facts.RollbackStarted(cause="too slow", trigger=types.TRIGGER_REQUESTED)
    progressing().when(verbs.roll_back, cause="too slow").then(asked)
    progressing(None, asked).when(verbs.roll_back, cause="now").then_nothing()
    over = progressing(None, asked, facts.RolledBack(version=version_name(2)))
    over.when(verbs.roll_back, cause="").then_nothing()
    done = progressing(None, facts.RolloutPromoted(), succeeded())
    done.when(verbs.roll_back, cause="").then_refused("ROLLOUT_SUCCEEDED")


def undo(before: types.Rollout, **given: Any) -> Outcome:
    of = given.get("of", version(1))
    on = given.get("on", endpoint(shifted(share(2), rollout=2)))
    return life(ROLLOUT, rollout_name(3)).when(
        verbs.undo, on.state, environment().state, of.state, NOBODY.state, NOBODY.state, before, by=["users/dora"]
    )


def test_a_finished_rollout_is_undone_by_a_new_one_even_to_a_deprecated_version() -> None:
    done = progressing(None, facts.RolloutPromoted(), succeeded())
    done.state.name = rollout_name(2)
    event = undo(done.state, of=version(1, registry.VersionDeprecated())).event
    assert isinstance(event, facts.RolloutRequested)
    assert (event.version, event.restores, event.previous_version) == (
        version_name(1),
        rollout_name(2),
        version_name(2),
    )
    assert event.strategy == BLUE_GREEN
    assert event.artifact_sha256 == SHA
    undo(done.state, of=version(1, registry.VersionRetired(to_stage="retired"))).then_refused("VERSION_RETIRED")


def test_a_way_back_is_not_undone_and_not_turned_round() -> None:
    restoring = rollout(requested(BLUE_GREEN, restores=rollout_name(1)), started())
    restoring.when(verbs.roll_back, cause="twice").then_nothing()
    restored = restoring.given(facts.RolloutPromoted(), succeeded())
    undo(restored.state).then_refused("NOTHING_TO_ROLL_BACK")


def test_the_first_version_of_an_endpoint_has_nothing_before_it() -> None:
    undo(FIRST.state).then_refused("NOTHING_TO_ROLL_BACK")
    undo(progressing(None, back(), facts.RolledBack()).state).then_refused("NOTHING_TO_ROLL_BACK")


WATCHED = canary(10, max_error_rate=0.1, rollback_on_alert=True)
ALERT = {"name": "projects/risk/monitors/m/alerts/1", "check": "drift"}


def test_an_alert_on_the_version_goes_back_where_the_analysis_says_so() -> None:
    expected = facts.RollbackStarted(
        cause=f"alert {ALERT['name']} on drift", trigger=types.TRIGGER_ALERT, alert=ALERT["name"]
    )
    progressing(WATCHED).when(verbs.alert, version=version_name(2), **ALERT).then(expected)
    progressing(WATCHED).when(verbs.alert, version="", **ALERT).then(expected)
    progressing(WATCHED).when(verbs.alert, version=version_name(1), **ALERT).then_nothing()
    progressing(canary(10, max_error_rate=0.1)).when(verbs.alert, version=version_name(2), **ALERT).then_nothing()
    progressing(RECREATE).when(verbs.alert, version=version_name(2), **ALERT).then_nothing()
    done = progressing(WATCHED, facts.RolloutPromoted(), succeeded())
    done.when(verbs.alert, version=version_name(2), **ALERT).then_nothing()


def test_every_fact_of_a_rollout_is_folded() -> None:
    state = progressing(
        canary(10, 50),
        step(1, 10),
        facts.StepInconclusive(step=1, result=types.AnalysisResult(finding="few")),
        passed(1),
        step(2, 50),
        facts.StepInconclusive(step=2, paused=True),
        facts.RolloutResumed(),
        observed(0),
        back(),
        facts.RollbackFailed(cause="no replica", attempt=1),
        facts.RolledBack(version=version_name(2), restored_version=version_name(1)),
    ).state
    assert state.state == types.ROLLOUT_STATE_ROLLED_BACK
    assert (state.steps_passed, state.step, state.rollback_attempts, state.ready_replicas) == (1, 2, 1, 0)
    assert state.HasField("unready_time")
    failed = rollout(requested(), started(), facts.RolloutFailed(cause="no", trigger=types.TRIGGER_REPLICAS)).state
    assert (failed.state, failed.cause) == (types.ROLLOUT_STATE_FAILED, "no")
