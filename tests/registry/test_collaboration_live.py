"""Threads, watches and the lists of what waits and what happened, over a live registry."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kernel.digest import views_digest
from modelog.registry.v1 import collaboration_pb2 as talk
from modelog.registry.v1 import types_pb2 as types
from modelog.sdk.paging import items
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, PROJECT_NAME, evaluation, policy, rule
from tests.registry.office import Office, office, refused

GENERAL = {"kind": types.REVIEW_KIND_GENERAL}


async def seen(registry: Office) -> dict[str, int]:
    return {"at_least": await registry.live.rooms.log.head()}


async def opened(registry: Office, body: str = "hello @users/ben", **fields: Any) -> str:
    reply = await registry.OpenThread(
        parent=MODEL_NAME, **{"target": {"name": MODEL_NAME}, "title": "Drift", "body": body, **fields}
    )
    name: str = reply.name
    return name


_asked: list[tuple[str, str, int, Any]] = []


@pytest.fixture
async def registry(registry: Office) -> AsyncIterator[Office]:
    """After each test, whatever was answered about a moment is answered again as of it."""
    _asked.clear()
    yield registry
    marked = await registry.live.rooms.kept.fetchval("select exists (select from read_marker)")
    for method, by, revision, reply in _asked:
        again = await getattr(registry, method)(parent=PROJECT_NAME, read={"as_of_revision": revision}, by=by)
        assert _lasting(again, marked) == _lasting(reply, marked), (method, by, revision)


def _lasting(reply: Any, marked: bool) -> list[Any]:
    """Without what depends on how far somebody has read, where somebody has."""
    reading = (talk.TASK_KIND_UNREAD, talk.TASK_KIND_MENTIONED) if marked else ()
    return [one for one in items(reply) if getattr(one, "kind", 0) not in reading]


async def answered(registry: Office, method: str, by: str) -> Any:
    """What is answered now, remembered for `as_it_was`."""
    read = await seen(registry)
    reply = await getattr(registry, method)(parent=PROJECT_NAME, read=read, by=by)
    _asked.append((method, by, read["at_least"], reply))
    return reply


async def tasks(registry: Office, by: str) -> list[tuple[str, str]]:
    reply = await answered(registry, "ListTasks", by)
    return [(talk.TaskKind.Name(one.kind).removeprefix("TASK_KIND_"), one.resource) for one in reply.tasks]


async def activity(registry: Office, by: str) -> list[str]:
    reply = await answered(registry, "ListActivity", by)
    return [one.fact.event.type_url.rpartition(".")[2] for one in reply.activities]


async def test_a_thread_from_opening_to_resolving(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    name = await opened(registry)
    assert name == f"{MODEL_NAME}/threads/1"
    posted = await registry.PostComment(name=name, body="see @teams/risk", by=BEN, request_id="once")
    assert (posted.comment, list(posted.mentions)) == (2, ["teams/risk"])
    assert await registry.PostComment(name=name, body="see @teams/risk", by=BEN, request_id="once") == posted
    await registry.EditComment(name=name, comment=2, body="see below", by=BEN)
    foreign = registry.EditComment(name=name, comment=2, body="mine", by=ADA)
    assert (await refused(foreign))[:2] == ("PERMISSION_DENIED", "NOT_YOUR_OWN")
    await registry.WithdrawComment(name=name, comment=1)
    await registry.ResolveThread(name=name, by=BEN)
    state = await registry.GetThread(name=name, read=await seen(registry))
    assert [one.body for one in state.comments] == ["", "see below"]
    assert (state.state, state.resolved_by) == (talk.THREAD_STATE_RESOLVED, BEN)
    early = await registry.GetThread(name=name, read={"as_of_revision": posted.revision})
    assert [one.body for one in early.comments] == ["hello @users/ben", "see @teams/risk"]
    await registry.ReopenThread(name=name)
    await opened(registry, target={"name": version, "field": "artifact"})
    for asked, numbers in (
        ({}, [1, 2]),
        ({"target": version}, [2]),
        ({"participant": BEN}, [1, 2]),
        ({"participant": "teams/risk"}, [1]),
        ({"state": talk.THREAD_STATE_RESOLVED}, []),
    ):
        for parent in (MODEL_NAME, f"{PROJECT_NAME}/models/-"):
            page = await registry.ListThreads(parent=parent, read=await seen(registry), **asked)
            assert [int(one.name.rpartition("/")[2]) for one in page.threads] == numbers, asked


async def test_64_people_talking_at_once_are_all_heard_in_one_order(registry: Office) -> None:
    await registry.found_model()
    name = await opened(registry)
    people = [f"users/p{number}" for number in range(64)]
    replies = await asyncio.gather(*(registry.PostComment(name=name, body=who, by=who) for who in people))
    assert sorted(one.comment for one in replies) == list(range(2, 66))
    state = await registry.GetThread(name=name, read=await seen(registry))
    assert {one.author: one.body for one in state.comments[1:]} == {who: who for who in people}


async def test_pages_of_threads_are_full_although_a_filter_leaves_most_out(registry: Office) -> None:
    await registry.found_model()
    for number in range(30):
        name = await opened(registry, body="hi")
        if number % 10 == 9:
            await registry.ResolveThread(name=name)
    asked = {"parent": MODEL_NAME, "page_size": 2, "state": talk.THREAD_STATE_RESOLVED, "read": await seen(registry)}
    first = await registry.ListThreads(**asked)
    second = await registry.ListThreads(page_token=first.next_page_token, **asked)
    numbers = [int(one.name.rpartition("/")[2]) for page in (first, second) for one in page.threads]
    assert (numbers, second.next_page_token) == ([10, 20, 30], "")


async def test_what_waits_for_whom(registry: Office) -> None:
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=policy(rule(reviews=1)))
    version = await registry.register()
    await registry.RequestTransition(name=version, to_stage="testing")
    assert ("REVIEW_WANTED", version) in await tasks(registry, BEN)
    assert await tasks(registry, ADA) == []
    await registry.SubmitReview(name=version, transition=1, decision=types.REVIEW_DECISION_APPROVE, by=BEN, **GENERAL)
    assert await tasks(registry, BEN) == []
    assert await tasks(registry, ADA) == [("REQUEST_APPROVED", version)]
    await registry.RecordEvaluation(name=version, evaluation_id="holdout", evaluation=evaluation(0.9))
    assert await tasks(registry, ADA) == [("REQUEST_VOID", version)]
    await registry.RequestTransition(name=version, to_stage="testing")
    await registry.SubmitReview(name=version, transition=2, decision=types.REVIEW_DECISION_REJECT, by=BEN, **GENERAL)
    assert await tasks(registry, ADA) == [("REQUEST_REJECTED", version)]
    await registry.DeprecateVersion(name=version, message="old")
    assert sorted(await tasks(registry, ADA)) == [("DEPRECATED", version), ("REQUEST_REJECTED", version)]
    await registry.RetireVersion(name=version)
    assert await tasks(registry, ADA) == []


async def test_a_finding_waits_for_its_makers_and_their_answer_for_others(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    kind, severity = types.REVIEW_KIND_FAIRNESS, types.SEVERITY_HIGH
    await registry.RaiseFinding(name=version, by=BEN, kind=kind, severity=severity, title="bias", text="of the young")
    assert await tasks(registry, ADA) == [("FINDING", version)]
    assert await tasks(registry, BEN) == []
    await registry.ResolveFinding(name=version, finding=1, text="more data")
    assert await tasks(registry, ADA) == []
    assert await tasks(registry, CAT) == await tasks(registry, BEN) == [("FINDING_ANSWERED", version)]
    await registry.ConfirmFinding(name=version, finding=1, by=CAT)
    assert await tasks(registry, BEN) == []


async def test_administrators_hear_of_proposals_and_emergencies(registry: Office) -> None:
    await registry.found_model()
    await registry.GrantRole(name=PROJECT_NAME, principal=CAT, role="approver")
    await registry.DeclareEmergency(
        name=PROJECT_NAME, role="operator", duration={"seconds": 60}, reason="down", by="users/olga"
    )
    assert sorted(await tasks(registry, BEN)) == [("EMERGENCY", PROJECT_NAME), ("ROLE_PROPOSED", PROJECT_NAME)]
    # Who proposed it, and who would get it, cannot confirm it; who took a role does not review that.
    assert await tasks(registry, ADA) == [("EMERGENCY", PROJECT_NAME)]
    assert await tasks(registry, CAT) == [("EMERGENCY", PROJECT_NAME)]
    assert await tasks(registry, "users/olga") == [("ROLE_PROPOSED", PROJECT_NAME)]


async def test_threads_are_unread_until_they_are_read_and_owners_hear_by_themselves(registry: Office) -> None:
    await registry.found_model()
    await registry.DefineTeam(name=PROJECT_NAME, team="risk", definition={"members": [CAT]})
    await registry.UpdateModel(name=MODEL_NAME, details={"owners": ["teams/risk"]}, update_mask={"paths": ["owners"]})
    name = await opened(registry)
    assert await tasks(registry, BEN) == [("MENTIONED", name)]
    assert await tasks(registry, CAT) == [("UNREAD", name)]  # By the team that owns the model.
    assert await tasks(registry, ADA) == []
    assert (await registry.MarkRead(name=name, by=BEN)).upto_comment == 1
    assert await tasks(registry, BEN) == []
    await registry.PostComment(name=name, body="@teams/risk look", by=BEN)
    assert await tasks(registry, CAT) == [("MENTIONED", name)]
    assert await tasks(registry, ADA) == [("UNREAD", name)]
    await registry.SetWatch(name=MODEL_NAME, setting={"muted": True})
    await registry.SetWatch(name=MODEL_NAME, setting={"muted": True}, by=CAT)
    assert await tasks(registry, ADA) == []
    assert await tasks(registry, CAT) == [("MENTIONED", name)]  # Who is spoken to hears it all the same.
    assert (await registry.MarkRead(name=name, upto_comment=1, by=BEN)).upto_comment == 1
    assert (await registry.MarkRead(name=name, upto_comment=99, by=BEN)).upto_comment == 2


async def test_activity_is_of_what_one_watches_newest_first(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    await registry.ChangeStage(name=version, to_stage="testing", by=CAT)
    assert await activity(registry, BEN) == []
    assert await activity(registry, ADA) == ["StageChanged", "VersionRegistered"]  # Ada made it.
    await registry.SetWatch(name=MODEL_NAME, by=BEN)
    name = await opened(registry, body="hi")
    every = ["ThreadOpened", "StageChanged", "VersionRegistered", "ModelCreated"]
    assert await activity(registry, BEN) == every
    await registry.SetWatch(name=MODEL_NAME, setting={"event_types": ["StageChanged"]}, by=BEN)
    assert await activity(registry, BEN) == ["StageChanged"]
    await registry.SetWatch(name=PROJECT_NAME, by=BEN)
    await registry.SetWatch(name=version, setting={"muted": True}, by=BEN)
    await registry.RemoveWatch(name=MODEL_NAME, by=BEN)
    assert await activity(registry, BEN) == ["ThreadOpened", "ModelCreated", "ProjectCreated"]
    watches = await registry.ListWatches(parent=PROJECT_NAME, read=await seen(registry), by=BEN)
    assert sorted(watches.watches[0].settings) == [PROJECT_NAME, version]
    assert (await registry.GetThread(name=name, read=await seen(registry))).title == "Drift"


async def test_pages_of_activity_meet_without_gap_and_the_past_stays_as_it_was(registry: Office) -> None:
    await registry.found_model()
    await registry.SetWatch(name=PROJECT_NAME, by=BEN)
    for number in range(12):
        await registry.SetTag(name=MODEL_NAME, key="k", value=str(number))
    read = await seen(registry)
    found, token = [], ""
    while True:
        page = await registry.ListActivity(parent=PROJECT_NAME, page_size=5, page_token=token, read=read, by=BEN)
        found += [one.revision for one in page.activities]
        if not (token := page.next_page_token):
            break
    assert found == sorted(set(found), reverse=True)
    assert len(found) == 14
    past = await registry.ListActivity(parent=PROJECT_NAME, read={"as_of_revision": found[3]}, by=BEN)
    assert [one.revision for one in past.activities] == found[3:]


async def test_folding_everything_again_gives_the_same_views(
    registry: Office, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    """Also who took part by a fact that the next one, in the same batch of a rebuild, leaves nothing of."""
    await registry.found_model()
    await registry.SetPolicy(name=PROJECT_NAME, policy=policy(rule(reviews=1)))
    version = await registry.register()
    for number, by in enumerate((BEN, CAT), 1):
        await registry.RequestTransition(name=version, to_stage="testing")
        await registry.SubmitReview(
            name=version, transition=number, decision=types.REVIEW_DECISION_REJECT, by=by, **GENERAL
        )
    await registry.DeprecateVersion(name=version)
    for owner in (BEN, CAT):
        await registry.UpdateModel(name=MODEL_NAME, details={"owners": [owner]}, update_mask={"paths": ["owners"]})
    name = await opened(registry)
    await registry.PostComment(name=name, body="hi", by=CAT)
    await registry.SetWatch(name=MODEL_NAME)
    await registry.CreateWebhook(parent=PROJECT_NAME, webhook_id="chat", settings={"url": "https://hooks.example.com/"})
    await registry.PauseWebhook(name=f"{PROJECT_NAME}/webhooks/chat")
    head = await registry.live.rooms.resources.catch_up()
    async with office(nats, postgres, tmp_path, f"{schema}_again", roles="projector") as again:
        await again.live.rooms.resources.wait(head)
        digests = await views_digest(registry.live.rooms.pool, registry.live.schema)
        assert {"thread", "watch", "webhook", "part", "waiting", "thread_place"} <= set(digests)
        assert await views_digest(again.live.rooms.pool, again.live.schema) == digests


async def test_teams_are_removed_again(registry: Office) -> None:
    await registry.found_model()
    await registry.DefineTeam(name=PROJECT_NAME, team="risk", definition={"members": [CAT]})
    await registry.RemoveTeam(name=PROJECT_NAME, team="risk")
    missing = registry.RemoveTeam(name=PROJECT_NAME, team="risk")
    assert (await refused(missing))[:2] == ("NOT_FOUND", "TEAM_NOT_FOUND")
    empty = registry.DefineTeam(name=PROJECT_NAME, team="risk", definition={})
    assert (await refused(empty))[2] == ["definition.members"]
    strange = registry.SetWatch(name=f"{PROJECT_NAME}/endpoints/eu")
    assert await refused(strange) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["name"])
