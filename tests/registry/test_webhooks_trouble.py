"""Webhooks of a live registry whose receivers are away, slow, moody, gone or lead elsewhere."""

import asyncio
import random

from modelog.registry.v1 import webhooks_pb2 as hooks
from tests.registry.build import MODEL_NAME
from tests.registry.posting import NAME, Post
from tests.registry.receiver import OK, Received, Receiver, receiver, status


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
