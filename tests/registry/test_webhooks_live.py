"""Webhooks of a live registry: what is sent, in which order, signed by what, and what people do with them."""

import asyncio
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from kernel.tasks import end
from modelog.monitoring.v1 import alert_events_pb2 as later
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import webhooks_pb2 as hooks
from services.registry.webhooks.office import Office as Sending
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import ADA, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Elsewhere, refused
from tests.registry.posting import ALERTS, NAME, Post, posting
from tests.registry.receiver import Receiver


async def test_facts_arrive_in_order_signed_and_as_cloud_events(post: Post) -> None:
    await post.create()
    await post.tag(1, 2, 3)
    await post.arrived(1, 2, 3)
    first = post.target.taken[0]
    event = Verifier(post.secret).verify(first.body, first.headers)
    entry = await post.registry.live.rooms.log.next("lifecycle.>", int(event["revision"]) - 1)
    assert entry is not None
    assert (event["specversion"], event["id"], event["subject"]) == ("1.0", first.id, MODEL_NAME)
    assert (event["type"], event["source"], event["actor"]) == ("modelog.registry.v1.TagSet", f"/{PROJECT_NAME}", ADA)
    assert (event["datacontenttype"], event["data"]) == ("application/json", {"key": "k", "value": "1"})
    assert first.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert all(isinstance(value, str) and value for name, value in event.items() if name != "data")
    with pytest.raises(WebhookVerificationError):
        Verifier(post.secret).verify(first.body + b" ", first.headers)
    page = await post.registry.ListDeliveries(name=NAME, page_size=2)
    assert [one.outcome for one in page.deliveries] == [hooks.DELIVERY_OUTCOME_DELIVERED] * 2
    rest = await post.registry.ListDeliveries(name=NAME, page_size=2, page_token=page.next_page_token)
    assert [one.event_type for one in rest.deliveries] == ["TagSet"]
    assert page.delivered_revision == entry.revision + 2


async def test_filters_by_subject_name_and_kind_and_what_is_never_sent(post: Post, elsewhere: Elsewhere) -> None:
    await post.create(
        settings={
            "subjects": ["lifecycle.monitoring.risk.alerts.>", MODEL_NAME],
            "event_types": ["TagSet", "AlertRaised"],
        }
    )
    await post.registry.CreateModel(parent=PROJECT_NAME, model_id="other")
    await post.registry.SetTag(name=f"{PROJECT_NAME}/models/other", key="k", value="9")
    await post.registry.UpdateModel(name=MODEL_NAME, details={"title": "x"}, update_mask={"paths": ["title"]})
    await post.registry.SetWatch(name=MODEL_NAME)
    await post.registry.CreateProject(project_id="else")
    await elsewhere.record(ALERTS, f"{PROJECT_NAME}/monitors/m/alerts/1", monitoring.AlertRaised(check="drift"))
    await elsewhere.record(ALERTS, "projects/else/monitors/m/alerts/1", monitoring.AlertRaised(check="drift"))
    await post.tag(1)
    await post.arrived(1)
    assert post.target.kinds() == ["AlertRaised", "TagSet"]
    everything = await post.create("all", from_revision=1)
    await post.registry.PauseWebhook(name=everything)
    await post.tag(2)
    await post.registry.ResumeWebhook(name=everything)
    await post.target.until(lambda one: len(one.taken) >= 10)
    sent = [one.event["subject"] for one in post.target.taken]
    assert not [one for one in sent if "/webhooks/" in one or "/watches/" in one or "projects/else" in one]
    assert sent.count(PROJECT_NAME) == 1


async def test_what_says_that_it_is_silent_is_not_sent(post: Post, elsewhere: Elsewhere) -> None:
    await post.create(settings={"event_types": ["TagSet", "AlertRaised", "AlertEscalated"]})
    alert = f"{PROJECT_NAME}/monitors/m/alerts/1"
    await elsewhere.record(ALERTS, alert, monitoring.AlertRaised(check="drift", silent=True))
    await elsewhere.record(ALERTS, alert, later.AlertEscalated(to="users/bob"))
    await post.tag(1)
    await post.arrived(1)
    assert post.target.kinds() == ["AlertEscalated", "TagSet"]


async def test_a_pause_loses_nothing(post: Post) -> None:
    await post.create()
    await post.tag(1)
    await post.arrived(1)
    await post.registry.PauseWebhook(name=NAME)
    await post.state(hooks.WEBHOOK_STATE_PAUSED)
    await post.tag(2, 3)
    await post.registry.live.rooms.resources.catch_up()
    await post.registry.ResumeWebhook(name=NAME)
    await post.tag(4)
    await post.arrived(1, 2, 3, 4)


async def test_a_range_is_sent_once_more_under_the_same_ids(post: Post) -> None:
    await post.create()
    await post.tag(*range(5))
    await post.arrived(*range(5))
    first = [one.id for one in post.target.taken]
    revisions = [int(one.event["revision"]) for one in post.target.taken]
    asked = await post.registry.RedeliverRange(name=NAME, from_revision=revisions[1], to_revision=revisions[3])
    await post.target.until(lambda one: len(one.taken) >= 8)
    assert [one.id for one in post.target.taken[5:]] == first[1:4]
    await post.tag(5)
    await post.target.until(lambda one: len(one.taken) >= 9)
    assert asked.redelivery == 1
    page = await post.registry.ListDeliveries(name=NAME)
    assert [one.redelivery for one in page.deliveries] == [0, 1, 1, 1, 0, 0, 0, 0, 0]
    wrong = post.registry.RedeliverRange(name=NAME, from_revision=3, to_revision=2)
    assert (await refused(wrong))[2] == ["to_revision"]


async def test_after_a_rotation_both_secrets_verify_and_later_only_the_new_one(post: Post) -> None:
    """The courier hears of a rotation a moment after its answer; until then it signs as before."""
    await post.create()
    sent: list[int] = []

    def verifies(secret: str) -> bool:
        last = post.target.taken[-1]
        try:
            Verifier(secret).verify(last.body, last.headers)
        except WebhookVerificationError:
            return False
        return True

    async def sent_until_it_verifies(secret: str) -> None:
        async with asyncio.timeout(30):
            while True:
                sent.append(len(sent))
                await post.tag(sent[-1])
                await post.target.until(lambda _: post.values() == sent)
                if verifies(secret):
                    return

    await sent_until_it_verifies(post.secret)
    rotated = await post.registry.RotateWebhookSecret(name=NAME, request_id="once")
    assert rotated == await post.registry.RotateWebhookSecret(name=NAME, request_id="once")
    assert not verifies(rotated.secret)
    await sent_until_it_verifies(rotated.secret)
    assert verifies(post.secret)
    last = await post.registry.RotateWebhookSecret(name=NAME, overlap={"seconds": 0})
    await sent_until_it_verifies(last.secret)
    assert not verifies(rotated.secret)


async def test_sending_goes_on_where_it_stopped_when_it_is_taken_up_again(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, target: Receiver
) -> None:
    """As when a process loses its fence and comes to hold it again."""
    async with posting(nats, postgres, tmp_path, schema, target, roles="rpc,projector") as post:
        await post.registry.found_model()
        await post.create()
        sending = Sending(post.registry.live.rooms)
        for values in ((1, 2), (3, 4), (5, 6)):
            await post.tag(values[0])
            run = asyncio.get_running_loop().create_task(sending.run())
            await post.target.until(lambda _, last=values[0]: post.values()[-1:] == [last])  # type: ignore[misc]
            await post.tag(values[1])
            await post.target.until(lambda _, last=values[1]: post.values()[-1:] == [last])  # type: ignore[misc]
            await end([run])
        assert post.values() == [1, 2, 3, 4, 5, 6]


async def test_what_is_wrong_with_a_webhook_is_told(post: Post) -> None:
    create, url = post.registry.CreateWebhook, post.target.url
    for settings, field in (
        ({"url": "ftp://example.com/"}, "settings.url"),
        ({"url": f"http://example.com:{post.target.port}/"}, "settings.url"),
        ({"url": "https://example.com/"}, "settings.url"),  # Port 443 is not among the test's.
        ({"url": url, "subjects": ["lifecycle.registry.other.>"]}, "settings.subjects[0]"),
        ({"url": url, "subjects": ["projects/other/models/fraud"]}, "settings.subjects[0]"),
        ({"url": url, "subjects": ["lifecycle.registry.>"]}, "settings.subjects[0]"),
        ({"url": url, "subjects": ["access.>"]}, "settings.subjects[0]"),
        ({"url": url, "event_types": ["no such"]}, "settings.event_types[0]"),
    ):
        refusal = await refused(create(parent=PROJECT_NAME, webhook_id="chat", settings=settings))
        assert (refusal[0], refusal[2]) == ("INVALID_ARGUMENT", [field]), settings
    dry = await create(parent=PROJECT_NAME, webhook_id="chat", settings={"url": url}, validate_only=True)
    assert (dry.revision, dry.secret) == (0, "")
    await post.create(request_id="once")
    again = await create(parent=PROJECT_NAME, webhook_id="chat", settings={"url": url}, request_id="once")
    assert again.secret == post.secret
    taken = create(parent=PROJECT_NAME, webhook_id="chat", settings={"url": url})
    assert (await refused(taken))[:2] == ("ALREADY_EXISTS", "WEBHOOK_EXISTS")
    listed = await post.registry.ListWebhooks(parent=PROJECT_NAME, read={"at_least": again.revision})
    assert [one.name for one in listed.webhooks] == [NAME]
    assert post.secret.removeprefix("whsec_") not in str(listed)


async def test_changed_removed_and_tried_out(post: Post) -> None:
    await post.create()
    tried = await post.registry.TestWebhook(name=NAME)
    assert (tried.delivery.outcome, tried.delivery.status) == (hooks.DELIVERY_OUTCOME_DELIVERED, 200)
    assert post.target.taken[0].event["type"] == "modelog.webhook.test"
    changed = await post.registry.UpdateWebhook(
        name=NAME, settings={"event_types": ["ModelRetired"]}, update_mask={"paths": ["event_types"]}
    )
    state = await post.registry.GetWebhook(name=NAME, read={"at_least": changed.revision})
    assert (state.settings.url, list(state.settings.event_types)) == (post.target.url, ["ModelRetired"])
    await post.registry.RemoveWebhook(name=NAME)
    await post.state(hooks.WEBHOOK_STATE_REMOVED)
    gone = post.registry.ResumeWebhook(name=NAME)
    assert (await refused(gone))[:2] == ("FAILED_PRECONDITION", "WEBHOOK_REMOVED")
    gone = post.registry.TestWebhook(name=NAME)
    assert (await refused(gone))[:2] == ("FAILED_PRECONDITION", "WEBHOOK_REMOVED")
    await post.registry.RetireModel(name=MODEL_NAME)
    await post.create("other", from_revision=1, settings={"event_types": ["ModelRetired"]})
    await post.target.until(lambda one: len(one.taken) == 2)
    assert {one.event["type"] for one in post.target.taken[1:]} == {"modelog.registry.v1.ModelRetired"}
