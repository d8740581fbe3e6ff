"""Talking, watching and sending outside behind the authority that asks for roles."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from modelog.registry.v1 import collaboration_pb2 as talk
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, PROJECT_NAME, policy, rule
from tests.registry.office import Office
from tests.registry.test_roles_door import DORA, GUARDED, ROOT, begin, denied, settled

VERA, OLGA, EVA = "users/vera", "users/olga", "users/eva"
OTHER = f"{PROJECT_NAME}/models/other"
HOOK = {"parent": PROJECT_NAME, "webhook_id": "chat", "settings": {"url": "https://hooks.example.com/"}}


@pytest.fixture
async def guarded(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    settings: dict[str, Any] = {"schema": schema, "identity": "roles", "administrators": f"{ROOT},{DORA}"}
    async with service(GUARDED, nats, postgres, tmp_path, **settings) as live:
        office = Office(live)
        await begin(office)
        for who, role in ((ADA, "author"), (CAT, "validator"), (VERA, "viewer"), (OLGA, "operator")):
            await office.GrantRole(name=PROJECT_NAME, principal=who, role=role, by=BEN)
        await settled(office)
        for model in ("fraud", "other"):
            await office.CreateModel(parent=PROJECT_NAME, model_id=model, by=ADA)
        await settled(office)
        yield office


def about(model: str = MODEL_NAME) -> dict[str, Any]:
    return {"parent": model, "target": {"name": model}, "title": "t", "body": "b"}


async def test_who_takes_part_talks_and_who_looks_listens(guarded: Office) -> None:
    thread = (await guarded.OpenThread(**about(), by=ADA)).name
    await guarded.PostComment(name=thread, body="b", by=OLGA)
    await settled(guarded)
    assert len((await guarded.GetThread(name=thread, by=VERA)).comments) == 2
    await guarded.MarkRead(name=thread, by=VERA)
    await guarded.SetWatch(name=MODEL_NAME, by=VERA)
    for call in (
        guarded.OpenThread(**about(), by=VERA),
        guarded.PostComment(name=thread, body="b", by=VERA),
        guarded.ResolveThread(name=thread, by=VERA),
        guarded.GetThread(name=thread, by="users/nobody"),
        guarded.DefineTeam(name=PROJECT_NAME, team="risk", definition={"members": [ADA]}, by=ADA),
    ):
        assert await denied(call) == "NOT_GRANTED"
    # An administrator may do much, and not put words into another's mouth.
    assert await denied(guarded.EditComment(name=thread, comment=1, body="x", by=BEN)) == "NOT_YOUR_OWN"


async def test_a_role_for_one_model_talks_about_that_one_only(guarded: Office) -> None:
    await guarded.GrantRole(name=PROJECT_NAME, principal=EVA, role="author", model=MODEL_NAME, by=BEN)
    await settled(guarded)
    await guarded.OpenThread(**about(), by=EVA)
    assert await denied(guarded.OpenThread(**about(OTHER), by=EVA)) == "NOT_GRANTED"
    hidden = {**about(), "target": {"name": f"{OTHER}/versions/1"}}
    assert await denied(guarded.OpenThread(**hidden, by=EVA)) == "NOT_GRANTED"
    assert await denied(guarded.ListThreads(parent=MODEL_NAME, target=OTHER, by=EVA)) == "NOT_GRANTED"


async def test_only_who_may_review_is_asked_to(guarded: Office) -> None:
    await guarded.SetPolicy(name=PROJECT_NAME, policy=policy(rule(reviews=1)), by=BEN)
    parts = {"uri": "s3://m", "sha256": "ab" * 32, "size_bytes": 1, "format": "onnx"}
    version = (await guarded.RegisterVersion(parent=MODEL_NAME, artifact=parts, by=ADA)).name
    await settled(guarded)
    await guarded.RequestTransition(name=version, to_stage="testing", by=ADA)
    await settled(guarded)
    for who, kinds in ((CAT, [talk.TASK_KIND_REVIEW_WANTED]), (VERA, []), (OLGA, []), (ADA, [])):
        assert [one.kind for one in (await guarded.ListTasks(parent=PROJECT_NAME, by=who)).tasks] == kinds


async def test_administrators_send_outside_and_operators_tend_it(guarded: Office) -> None:
    hook = (await guarded.CreateWebhook(**HOOK, by=BEN)).name
    await settled(guarded)
    await guarded.PauseWebhook(name=hook, by=OLGA)
    assert (await guarded.GetWebhook(name=hook, by=OLGA)).settings.url == "https://hooks.example.com/"
    await guarded.ListDeliveries(name=hook, by=OLGA)
    for call in (
        guarded.CreateWebhook(**HOOK, by=OLGA),
        guarded.RotateWebhookSecret(name=hook, by=OLGA),
        guarded.GetWebhook(name=hook, by=ADA),
        guarded.ListWebhooks(parent=PROJECT_NAME, by=VERA),
        guarded.TestWebhook(name=hook, by=ADA),
    ):
        assert await denied(call) == "NOT_GRANTED"


async def test_nobody_sends_outside_what_they_may_not_read(guarded: Office) -> None:
    blind = {"permissions": ["registry.webhooks.create", "registry.webhooks.update", "registry.projects.get"]}
    await guarded.DefineRole(name=PROJECT_NAME, role="sender", definition=blind, by=BEN)
    await guarded.GrantRole(name=PROJECT_NAME, principal=EVA, role="sender", by=BEN)
    hook = (await guarded.CreateWebhook(**HOOK, by=BEN)).name
    await settled(guarded)
    assert await denied(guarded.CreateWebhook(**{**HOOK, "webhook_id": "mine"}, by=EVA)) == "NOT_GRANTED"
    changed = {"settings": {"url": "https://elsewhere.example/"}, "update_mask": {"paths": ["url"]}}
    assert await denied(guarded.UpdateWebhook(name=hook, **changed, by=EVA)) == "NOT_GRANTED"
