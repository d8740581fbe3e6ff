"""Governance over a running registry: findings, checklists, replayed verdicts, dependents, restoring, races."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.digest import views_digest
from modelog.archive.v1 import events_pb2 as archive
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import KNOWN_ENDPOINT, KNOWN_HOLD
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import BEN, CAT, MODEL_NAME, NOW, PROJECT_NAME, evaluation, policy, rule
from tests.registry.office import Elsewhere, Office, office, refused

YES = {"kind": types.REVIEW_KIND_GENERAL, "decision": types.REVIEW_DECISION_APPROVE}
HIGH = {"severity": types.SEVERITY_HIGH, "kind": types.REVIEW_KIND_SECURITY, "title": "leaks", "text": "it leaks"}
ITEM = types.ChecklistItem(id="oversight", text="a person can stop it", source="Article 14")
GOVERNED = policy(rule(reviews=1, gates=("evaluations.holdout.metrics.auc >= 0.8",), checklist=[ITEM]))
ENDPOINT, HOLD = f"{PROJECT_NAME}/endpoints/eu", f"{PROJECT_NAME}/holds/case-17"


async def governed(registry: Office) -> str:
    """A version that has a measurement and an answered checklist, under a policy."""
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=GOVERNED)
    version = await registry.register()
    await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.9))
    await registry.AnswerChecklist(name=version, item="oversight", result=1, by=BEN)
    return version


async def in_testing(registry: Office, version: str) -> int:
    """Revision of the move to testing, with everything it needs."""
    opened = await registry.RequestTransition(name=version, to_stage="testing")
    await registry.SubmitReview(name=version, transition=opened.transition, by=BEN, **YES)
    reply = await registry.ChangeStage(name=version, to_stage="testing")
    revision: int = reply.revision
    return revision


async def test_a_finding_goes_from_raised_to_confirmed_and_blocks_meanwhile(registry: Office) -> None:
    version = await governed(registry)
    await registry.RequestTransition(name=version, to_stage="testing")
    await registry.SubmitReview(name=version, transition=1, by=BEN, **YES)
    raised = await registry.RaiseFinding(name=version, by=CAT, request_id="r", **HIGH)
    assert raised.finding == 1
    assert await registry.RaiseFinding(name=version, by=CAT, request_id="r", **HIGH) == raised
    dry = await registry.RaiseFinding(name=version, by=CAT, validate_only=True, **HIGH)
    assert (dry.finding, dry.revision) == (0, 0)
    blocked = registry.ChangeStage(name=version, to_stage="testing")
    assert (await refused(blocked))[:2] == ("FAILED_PRECONDITION", "GATES_FAILED")
    told = await registry.ResolveFinding(name=version, finding=1, text="removed", evidence=["https://commit"])
    assert told.state == types.FINDING_STATE_ANSWERED
    own = registry.ConfirmFinding(name=version, finding=1)
    assert (await refused(own))[:2] == ("PERMISSION_DENIED", "SEPARATION_OF_DUTIES")
    await registry.ConfirmFinding(name=version, finding=1, by=CAT)
    moved = await registry.ChangeStage(name=version, to_stage="testing")
    assert [one.name for one in moved.gates][-2:] == ["findings", "general"]
    await registry.ReopenFinding(name=version, finding=1, text="it still leaks", by=CAT)
    accepted = await registry.AcceptFinding(name=version, finding=1, text="known", by=BEN)
    state = await registry.GetVersion(name=version, read={"at_least": accepted.revision})
    assert (state.findings[0].state, state.findings[0].reopened) == (types.FINDING_STATE_ACCEPTED, 1)
    wrong = registry.RaiseFinding(name=version, **{**HIGH, "severity": 9})
    assert (await refused(wrong))[0] == "INVALID_ARGUMENT"


async def test_why_names_the_next_step_and_who_could_take_it(registry: Office) -> None:
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=GOVERNED)
    version = await registry.register()
    reply = await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="validator")
    told = await registry.CheckTransition(name=version, to_stage="testing", read={"at_least": reply.revision})
    assert not told.allowed
    steps = {one.gate: (one.method, list(one.principals)) for one in told.next_steps}
    assert steps == {
        "g0": ("RecordEvaluation", [BEN]),
        "checklist.oversight": ("AnswerChecklist", [BEN]),
        "general": ("RequestTransition", []),
    }


async def test_a_verdict_is_reproduced_whatever_happened_since(registry: Office) -> None:
    version = await governed(registry)
    revision = await in_testing(registry, version)
    await registry.RaiseFinding(name=version, by=CAT, **HIGH)
    await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.1))
    later = await registry.SetPolicy(name=PROJECT_NAME, policy=policy(rule(reviews=3), rule(gates=("false",))))
    at = {"at_least": later.revision}
    again = await registry.ReplayVerdict(name=version, to_stage="testing", read=at)
    assert (again.reproduced, again.allowed, again.revision) == (True, True, revision)
    assert list(again.gates) == list(again.verdict.gates)
    assert again.policy_revision == again.verdict.policy_revision
    newer = await registry.ReplayVerdict(name=version, to_stage="testing", policy_revision=later.revision)
    assert (newer.reproduced, newer.allowed, newer.policy_revision) == (False, False, later.revision)
    assert {one.name for one in newer.differences} >= {"general", "checklist.oversight", "g0"}
    what_if = await registry.ReplayVerdict(name=version, to_stage="testing", policy=policy(rule(reviews=2)))
    assert (what_if.allowed, what_if.policy_revision) == (False, 0)
    wrong = registry.ReplayVerdict(name=version, to_stage="testing", policy=policy(rule(gates=("nonsense(",))))
    assert (await refused(wrong))[0] == "INVALID_ARGUMENT"
    never = registry.ReplayVerdict(name=version, to_stage="production")
    assert (await refused(never))[:2] == ("NOT_FOUND", "VERDICT_NOT_FOUND")
    before = registry.ReplayVerdict(name=version, to_stage="testing", read={"as_of_revision": revision - 1})
    assert (await refused(before))[:2] == ("NOT_FOUND", "VERDICT_NOT_FOUND")


async def test_a_verdict_is_reproduced_with_the_roles_of_all_projects_as_they_were(registry: Office) -> None:
    await registry.found_model()
    everywhere = "projects/all"
    await registry.CreateProject(project_id="all", title="All")
    await registry.GrantRole(name=everywhere, principal=BEN, role="validator")
    needed = types.RequiredReview(kind=types.REVIEW_KIND_GENERAL, count=1, role="validator")
    ruled = policy(types.TransitionRule(to_stage="testing", required_reviews=[needed]))
    await registry.SetPolicy(name=PROJECT_NAME, policy=ruled)
    version = await registry.register()
    await in_testing(registry, version)
    later = await registry.RevokeRole(name=everywhere, principal=BEN, role="validator")
    again = await registry.ReplayVerdict(name=version, to_stage="testing", read={"at_least": later.revision})
    assert (again.reproduced, again.allowed) == (True, True)


async def test_reviews_are_delegated_and_the_verdict_says_so(registry: Office) -> None:
    version = await governed(registry)
    until = Timestamp()
    until.GetCurrentTime()
    until.seconds += 3600
    made = await registry.DelegateReviews(name=PROJECT_NAME, delegate=CAT, expire_time=until, by=BEN)
    assert made.delegation == 1
    await registry.RequestTransition(name=version, to_stage="testing")
    nobody = registry.SubmitReview(name=version, transition=1, delegated_by="users/dan", by=CAT, **YES)
    assert (await refused(nobody))[:2] == ("PERMISSION_DENIED", "NOT_DELEGATED")
    await registry.SubmitReview(name=version, transition=1, delegated_by=BEN, by=CAT, **YES)
    moved = await registry.ChangeStage(name=version, to_stage="testing")
    state = await registry.GetVersion(name=version, read={"at_least": moved.revision})
    assert dict(state.verdicts[0].answered_for) == {CAT: BEN}
    await registry.EndDelegation(name=PROJECT_NAME, delegation=1, by=CAT)
    again = await registry.ReplayVerdict(name=version, to_stage="testing", read={"at_least": moved.revision})
    assert again.reproduced


async def test_who_depends_on_a_version_is_known_as_of_any_moment(registry: Office, elsewhere: Elsewhere) -> None:
    await registry.found_model()
    version = await registry.register()
    before = await registry.AssignAlias(name=MODEL_NAME, alias="champion", version=version)
    children = [await registry.register(parent_version=version) for _ in range(3)]
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.EndpointCreated(environment="e"))
    share = [{"version": version, "percent": 100}]
    await elsewhere.record(KNOWN_ENDPOINT, ENDPOINT, deployment.TrafficShifted(traffic=share))
    held = await elsewhere.record(KNOWN_HOLD, HOLD, archive.HoldPlaced(resources=[MODEL_NAME]))
    told = await registry.GetDependents(name=version, read={"at_least": held})
    assert (list(told.aliases), list(told.endpoints), list(told.holds)) == (["champion"], [ENDPOINT], [HOLD])
    assert (list(told.derived_versions), told.more) == (children, False)
    past = await registry.GetDependents(name=version, read={"as_of_revision": before.revision})
    assert (list(past.aliases), list(past.endpoints), list(past.holds)) == (["champion"], [], [])
    assert not past.derived_versions
    gone = registry.GetDependents(name=f"{MODEL_NAME}/versions/99")
    assert (await refused(gone))[:2] == ("NOT_FOUND", "VERSION_NOT_FOUND")


async def test_a_held_version_is_not_retired_and_a_retired_one_comes_back(
    registry: Office, elsewhere: Elsewhere, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await registry.found_model()
    version, other = await registry.register(), await registry.register()
    await registry.ChangeStage(name=version, to_stage="testing")
    await elsewhere.record(KNOWN_HOLD, HOLD, archive.HoldPlaced(resources=[version, f"{PROJECT_NAME}/models/fraud-2"]))
    assert (await refused(registry.RetireVersion(name=version)))[:2] == ("FAILED_PRECONDITION", "VERSION_HELD")
    await registry.RetireVersion(name=other)
    await elsewhere.record(KNOWN_HOLD, HOLD, archive.HoldReleased())
    await registry.RetireVersion(name=version)
    await registry.RetireModel(name=MODEL_NAME, validate_only=True)
    own = registry.RestoreVersion(name=version)
    assert (await refused(own))[:2] == ("PERMISSION_DENIED", "SEPARATION_OF_DUTIES")
    back = await registry.RestoreVersion(name=version, by=BEN)
    assert back.stage == "development"
    assert (await refused(registry.RetireModel(name=MODEL_NAME)))[:2] == ("FAILED_PRECONDITION", "MODEL_HAS_VERSIONS")
    await registry.ChangeStage(name=version, to_stage="testing")
    head = await registry.live.rooms.resources.catch_up()
    async with office(nats, postgres, tmp_path, f"{schema}_again", roles="projector") as again:
        await again.live.rooms.resources.wait(head)
        digests = await views_digest(registry.live.rooms.pool, registry.live.schema)
        assert {"held", "derived", "known_hold"} <= set(digests)
        assert await views_digest(again.live.rooms.pool, again.live.schema) == digests


async def test_deprecated_versions_are_listed_page_by_page_and_those_past_their_sunset(registry: Office) -> None:
    await registry.found_model()
    names = [await registry.register() for _ in range(12)]
    sunset = Timestamp()
    sunset.FromDatetime(NOW.replace(year=2020))
    for number in (1, 4, 9):
        await registry.DeprecateVersion(name=names[number], message="old", sunset_time=sunset if number != 4 else None)
    reply = await registry.RetireVersion(name=names[9])
    asked: dict[str, Any] = {"parent": f"{PROJECT_NAME}/models/-", "page_size": 2, "read": {"at_least": reply.revision}}
    found, token = [], ""
    while True:
        page = await registry.ListDeprecatedVersions(page_token=token, **asked)
        found += [one.name for one in page.versions]
        token = page.next_page_token
        if not token:
            break
    assert found == [names[1], names[4], names[9]]
    overdue = await registry.ListDeprecatedVersions(parent=MODEL_NAME, past_sunset=True)
    assert [one.name for one in overdue.versions] == [names[1]]


async def test_of_64_answers_to_one_request_at_once_one_outcome_stands(registry: Office) -> None:
    """16 people approve, 16 reject, 16 take it back, 16 move: whatever wins, the log tells one story."""
    version = await governed(registry)
    await registry.RequestTransition(name=version, to_stage="testing")
    no = {"kind": types.REVIEW_KIND_GENERAL, "decision": types.REVIEW_DECISION_REJECT}
    calls = [
        call
        for number in range(16)
        for call in (
            registry.SubmitReview(name=version, transition=1, by=f"users/y{number}", **YES),
            registry.SubmitReview(name=version, transition=1, by=f"users/n{number}", **no),
            registry.WithdrawTransition(name=version, transition=1),
            registry.ChangeStage(name=version, to_stage="testing"),
        )
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(not isinstance(one, BaseException) or isinstance(one, grpc.aio.AioRpcError) for one in outcomes)
    codes = Counter(one.code().name for one in outcomes if isinstance(one, grpc.aio.AioRpcError))
    assert set(codes) <= {"FAILED_PRECONDITION", "ABORTED"}
    state = await registry.GetVersion(name=version, read={"at_least": await registry.live.rooms.resources.catch_up()})
    rejected = [one for one in state.transition.reviews if one.decision == types.REVIEW_DECISION_REJECT]
    match state.transition.state:
        case types.TRANSITION_STATE_COMMITTED:
            assert (state.stage, len(state.verdicts), len(rejected)) == ("testing", 1, 0)
        case types.TRANSITION_STATE_REJECTED:
            assert (state.stage, len(state.verdicts), len(rejected)) == ("development", 0, 1)
        case types.TRANSITION_STATE_WITHDRAWN:
            assert (state.stage, len(state.verdicts), len(rejected)) == ("development", 0, 0)
        case other:
            raise AssertionError(f"nothing was decided: {other}")


async def test_64_findings_at_once_are_numbered_without_gap_and_the_next_is_refused(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    replies = await asyncio.gather(*(registry.RaiseFinding(name=version, by=f"users/u{n}", **HIGH) for n in range(64)))
    assert sorted(reply.finding for reply in replies) == list(range(1, 65))
    full = registry.RaiseFinding(name=version, by=BEN, **HIGH)
    assert (await refused(full))[:2] == ("FAILED_PRECONDITION", "TOO_MANY_FINDINGS")


@pytest.mark.parametrize("number", range(3))
async def test_content_that_changes_while_it_is_approved_is_never_moved_unseen(registry: Office, number: int) -> None:
    version = await governed(registry)
    await registry.RequestTransition(name=version, to_stage="testing")
    change = {"documentation": {"summary": f"s{number}"}, "update_mask": {"paths": ["summary"]}}
    outcomes = await asyncio.gather(
        registry.SubmitReview(name=version, transition=1, by=BEN, **YES),
        registry.UpdateVersion(name=version, **change),
        registry.ChangeStage(name=version, to_stage="testing"),
        registry.SubmitReview(name=version, transition=1, by=CAT, **YES),
        registry.ChangeStage(name=version, to_stage="testing"),
        return_exceptions=True,
    )
    assert not isinstance(outcomes[1], BaseException)
    head = await registry.live.rooms.resources.catch_up()
    state = await registry.GetVersion(name=version, read={"at_least": head})
    if state.stage == "testing":
        assert state.verdicts[0].content_revision < state.content_revision
        assert state.transition.state == types.TRANSITION_STATE_COMMITTED
    else:
        assert state.transition.state == types.TRANSITION_STATE_VOID
        late = registry.SubmitReview(name=version, transition=1, by="users/dan", **YES)
        assert (await refused(late))[:2] == ("FAILED_PRECONDITION", "TRANSITION_VOID")
