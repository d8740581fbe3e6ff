"""Webhooks of a live registry: what is sent, in which order, when receivers are away, slow, gone or lead elsewhere."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from kernel.fold import kind
from kernel.tasks import end
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1 import webhooks_pb2 as hooks
from services.registry.webhooks.office import Office as Sending
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import ADA, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Elsewhere, Office, office, refused
from tests.registry.receiver import OK, Received, Receiver, receiver, status

NAME = f"{PROJECT_NAME}/webhooks/chat"
ALERTS = kind("monitoring", "projects/*/monitors/*/alerts/#", types.KnownEndpoint, lambda *_: None, listens=())


class Post:
    """A registry and a receiver that it may send to."""

    def __init__(self, registry: Office, target: Receiver) -> None:
        self.registry = registry
        self.target = target
        self.secret = ""

    async def create(self, webhook_id: str = "chat", **fields: Any) -> str:
        settings = {"url": self.target.url, **fields.pop("settings", {})}
        reply = await self.registry.CreateWebhook(
            parent=PROJECT_NAME, webhook_id=webhook_id, settings=settings, **fields
        )
        self.secret = reply.secret
        name: str = reply.name
        return name

    async def tag(self, *values: int) -> None:
        """One fact for each value."""
        for value in values:
            await self.registry.SetTag(name=MODEL_NAME, key="k", value=str(value))

    def values(self) -> list[int]:
        """The values of the tags that arrived, each once, in the order of their coming."""
        return [int(one.event["data"]["value"]) for one in self.target.once() if one.event["type"].endswith("TagSet")]

    async def arrived(self, *values: int) -> None:
        await self.target.until(lambda _: len(self.values()) >= len(values))
        assert self.values() == list(values)

    async def state(self, wanted: int, name: str = NAME) -> Any:
        """The webhook once it is in this state."""
        async with asyncio.timeout(20):
            while True:
                head = await self.registry.live.rooms.log.head()
                found = await self.registry.GetWebhook(name=name, read={"at_least": head})
                if found.state == wanted:
                    return found
                await asyncio.sleep(0.02)


@asynccontextmanager
async def posting(
    nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str, target: Receiver, **settings: Any
) -> AsyncIterator[Post]:
    async with office(nats, postgres, folder, schema, **{**target.settings, **settings}) as registry:
        yield Post(registry, target)


@pytest.fixture
async def target() -> AsyncIterator[Receiver]:
    async with receiver() as one:
        yield one


@pytest.fixture
async def post(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, target: Receiver
) -> AsyncIterator[Post]:
    async with posting(nats, postgres, tmp_path, schema, target) as one:
        await one.registry.found_model()
        yield one


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


async def test_a_receiver_that_is_away_for_a_while_misses_nothing_and_gets_each_in_order(post: Post) -> None:
    await post.create()
    await post.tag(1)
    await post.arrived(1)
    await post.target.stop()
    await post.tag(*range(2, 60))
    assert post.values() == [1]
    await post.target.start()
    await post.arrived(*range(1, 60))
    assert len(post.target.taken) == 59  # Nothing came twice: none of it had been taken before.


async def test_a_receiver_that_fails_at_random_gets_each_in_order_and_knows_what_it_has(post: Post) -> None:
    """It may fail after it has taken something, so it gets that again, under the same id."""
    dice = random.Random(7)

    async def moody(target: Receiver, received: Received) -> bytes:
        match dice.randrange(4):
            case 0:
                return status(500)
            case 1:
                target.taken.append(received)  # Taken, but the answer is lost.
                return b""
            case 2:
                return b"HTTP/1.1 nonsense\r\n\r\n"
        return OK

    post.target.answer = moody
    await post.create()
    await post.tag(*range(15))
    await post.arrived(*range(15))
    assert len(post.target.taken) > 15
    assert len({one.body for one in post.target.taken}) == 15  # The same id, the same bytes.


async def test_a_slow_receiver_delays_nobody_else(post: Post) -> None:
    stuck = asyncio.Event()

    async def slow(_target: Receiver, received: Received) -> bytes:
        if received.path == "/slow":
            await stuck.wait()
        return OK

    post.target.answer = slow
    await post.create("slow", settings={"url": post.target.url.replace("/hook", "/slow")})
    await post.create()
    await post.tag(*range(30))
    await post.target.until(lambda one: len(one.taken) >= 30, seconds=10)
    assert {one.path for one in post.target.taken} == {"/hook"}
    stuck.set()
    await post.target.until(lambda one: len(one.taken) >= 60)


async def test_who_is_gone_is_sent_nothing_until_somebody_resumes(post: Post) -> None:
    async def gone(target: Receiver, _received: Received) -> bytes:
        return status(410)

    post.target.answer = gone
    await post.create()
    await post.tag(1, 2)
    found = await post.state(hooks.WEBHOOK_STATE_DISABLED)
    assert "410" in found.state_reason
    assert len(post.target.received) == 1
    post.target.answer = lambda *_: _ok()
    await post.registry.ResumeWebhook(name=NAME)
    await post.arrived(1, 2)


async def _ok() -> bytes:
    return OK


async def test_redirects_are_failures_and_lead_nowhere(post: Post) -> None:
    async with receiver() as elsewhere:

        async def redirect(target: Receiver, received: Received) -> bytes:
            return status(307, f"Location: {elsewhere.url}") if len(target.received) < 3 else OK

        post.target.answer = redirect
        await post.create()
        await post.tag(1)
        await post.arrived(1)
        assert elsewhere.received == []
    page = await post.registry.ListDeliveries(name=NAME, outcome=hooks.DELIVERY_OUTCOME_FAILED)
    assert [one.status for one in page.deliveries] == [307, 307]
    assert "redirects are not followed" in page.deliveries[0].error


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


async def test_a_fact_that_is_refused_for_ever_is_left_behind_by_another_filter(post: Post) -> None:
    async def picky(_target: Receiver, received: Received) -> bytes:
        return status(422) if received.event["type"].endswith("TagSet") else OK

    post.target.answer = picky
    await post.create()
    await post.tag(1)
    await post.registry.RetireModel(name=MODEL_NAME)
    await post.target.until(lambda one: len(one.received) >= 3)
    assert post.target.taken == []
    await post.registry.UpdateWebhook(
        name=NAME, settings={"event_types": ["ModelRetired"]}, update_mask={"paths": ["event_types"]}
    )
    await post.target.until(lambda one: one.kinds() == ["ModelRetired"])


async def test_a_wait_that_the_receiver_asks_for_is_kept(post: Post) -> None:
    times: list[float] = []

    async def busy(target: Receiver, _received: Received) -> bytes:
        times.append(asyncio.get_running_loop().time())
        return status(429, "Retry-After: 1") if len(times) == 1 else OK

    post.target.answer = busy
    await post.create()
    await post.tag(1)
    await post.arrived(1)
    assert times[1] - times[0] >= 1.0


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


async def test_an_endless_answer_ends(post: Post) -> None:
    """A receiver that drips, and one that floods: neither holds more than its own webhook, and not for long."""

    async def flood(target: Receiver, _received: Received) -> bytes:
        if len(target.received) < 3:
            return (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000 + b"\r\n" * 2
            )
        return OK

    post.target.answer = flood
    await post.create()
    await post.tag(1, 2, 3)
    await post.arrived(1, 2, 3)


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
