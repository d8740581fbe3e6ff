"""Everything the JetStream API can do, tried by every user on every stream: what is not granted must not work."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from secrets import token_hex
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from kernel.consumers import NAMES
from suite.log_rights import API_PREFIX, RIGHTS
from suite.nats_server import NatsServer

USERS: dict[str, dict[str, list[str]]] = RIGHTS["users"]
STREAMS = ["LIFECYCLE", "TELEMETRY", "ACCESS", "TEXTS"]
READ = ["STREAM.INFO.{stream}", "STREAM.MSG.GET.{stream}"]
OWN = [
    "CONSUMER.CREATE.{stream}.{name}",
    "CONSUMER.CREATE.{stream}.{name}.some.subject",
    "CONSUMER.INFO.{stream}.{name}",
    "CONSUMER.DELETE.{stream}.{name}",
    "CONSUMER.MSG.NEXT.{stream}.{name}",
]
NEVER = [
    "INFO",
    "ACCOUNT.PURGE.LOG",
    "ACCOUNT.STREAM.MOVE.LOG.{stream}",
    "META.LEADER.STEPDOWN",
    "SERVER.REMOVE",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.CREATE.{stream}",
    "STREAM.CREATE.NEW",
    "STREAM.UPDATE.{stream}",
    "STREAM.DELETE.{stream}",
    "STREAM.PURGE.{stream}",
    "STREAM.MSG.DELETE.{stream}",
    "STREAM.SNAPSHOT.{stream}",
    "STREAM.RESTORE.{stream}",
    "STREAM.PEER.REMOVE.{stream}",
    "STREAM.LEADER.STEPDOWN.{stream}",
    "STREAM.TEMPLATE.CREATE.{stream}",
    "DIRECT.GET.{stream}",
    "DIRECT.GET.{stream}.some.subject",
    "CONSUMER.NAMES.{stream}",
    "CONSUMER.LIST.{stream}",
    "CONSUMER.CREATE.{stream}",
    "CONSUMER.DURABLE.CREATE.{stream}.{name}",
    "CONSUMER.LEADER.STEPDOWN.{stream}.{name}",
    "CONSUMER.PAUSE.{stream}.{name}",
    "CONSUMER.UNPIN.{stream}.{name}",
    "CONSUMER.RESET.{stream}.{name}",
]
SYSTEM = [
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.ACCOUNT.LOG.CONNZ",
    "$SYS.REQ.ACCOUNT.LOG.SUBSZ",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.ACCOUNT.LOG.CLAIMS.UPDATE",
]


def others(user: str) -> list[str]:
    """Names of consumers that are not the user's."""
    names = [f"{other}-{number}" for other in USERS for number in (1, RIGHTS["followers"]) if other != user]
    return [*names, "provision-1", "follow", f"{user}-0", f"{user}-{RIGHTS['followers'] + 1}", user, f"{user}-1-1", "*"]


def forbidden(user: str) -> Iterator[str]:
    """Every verb on every stream, except what the user was given."""
    granted = USERS[user]["read"]
    for stream in STREAMS:
        erases = stream in USERS[user].get("erase", ())
        never = [verb for verb in NEVER if not (erases and "STREAM.MSG.DELETE" in verb)]
        yield from (verb.format(stream=stream, name=f"{user}-1") for verb in never)
        yield from (verb.format(stream=stream, name=name) for verb in OWN for name in others(user))
        if stream not in granted:
            yield from (verb.format(stream=stream, name=f"{user}-1") for verb in (*READ, *OWN))


@pytest.fixture
async def connect(log_server: NatsServer) -> AsyncIterator[Callable[[str], Any]]:
    async with AsyncExitStack() as stack:

        async def open_client(user: str) -> Client:
            client = await nats.connect(log_server.url_for(user), error_cb=ignore)
            stack.push_async_callback(client.close)
            return client

        yield open_client


async def ignore(_error: Exception) -> None:
    """Refused subscriptions arrive here; the tests look at what came of them."""


async def asked(client: Client, subject: str, body: Any = None) -> dict[str, Any] | None:
    """The answer; None when nobody gives one, which is how an account without the right looks."""
    try:
        message = await client.request(subject, b"" if body is None else json.dumps(body).encode(), timeout=2)
    except (NoRespondersError, TimeoutError):
        return None
    answer: dict[str, Any] = json.loads(message.data or b"{}")
    return answer


def making(stream: str, name: str, **more: Any) -> dict[str, Any]:
    config = {"name": name, "ack_policy": "none", "inactive_threshold": 60_000_000_000} | more
    return {"stream_name": stream, "config": config, "action": "create"}


async def everything(provision: Client) -> dict[str, Any]:
    """All streams and consumers as the server has them, without what reading itself moves."""
    found: dict[str, Any] = {}
    for stream in STREAMS:
        info = await asked(provision, f"$JS.API.STREAM.INFO.{stream}")
        listed = await asked(provision, f"$JS.API.CONSUMER.LIST.{stream}")
        assert info is not None
        assert listed is not None
        found[stream] = (info["config"], info["state"]["messages"], info["state"]["last_seq"])
        found |= {f"{stream} {one['name']}": (one["created"], one["delivered"]) for one in listed["consumers"]}
    return found


async def prepare(provision: Client) -> None:
    """One consumer of everybody on every stream, to be harmed, and a message in each to be read or deleted."""
    for stream, subject in zip(
        STREAMS, ["lifecycle.x.y", "telemetry.x", "access.x", f"texts.x.{token_hex(8)}"], strict=True
    ):
        await provision.jetstream().publish(subject, b"kept")
        listed = await asked(provision, f"$JS.API.CONSUMER.LIST.{stream}")
        for one in listed["consumers"] if listed else ():  # Those of other tests would end by themselves meanwhile.
            await provision.request(f"$JS.API.CONSUMER.DELETE.{stream}.{one['name']}", b"")
        for user in USERS:
            with suppress(NoRespondersError):
                await provision.request(f"$JS.API.CONSUMER.DELETE.{stream}.{user}-1", b"")
            answer = await asked(
                provision, f"$JS.API.CONSUMER.CREATE.{stream}.{user}-1", making(stream, f"{user}-1", durable_name="")
            )
            assert answer is not None
            assert "error" not in answer


@pytest.mark.parametrize("user", USERS)
async def test_what_is_not_granted_does_not_work(user: str, connect: Callable[[str], Any]) -> None:
    provision, client = await connect("provision"), await connect(user)
    await prepare(provision)
    before = await everything(provision)
    tried = [f"{prefix}.{verb}" for verb in sorted(set(forbidden(user))) for prefix in (API_PREFIX, "$JS.API")]
    bodies = [{"seq": 1} if "MSG" in subject else None for subject in tried]
    answers = await asyncio.gather(*(asked(client, *one) for one in zip(tried, bodies, strict=True)))
    for subject, answer in zip(tried, answers, strict=True):
        # Nobody answers, or the server does for the user's own account, which has no JetStream.
        assert answer is None or "error" in answer, subject
    for subject in SYSTEM:
        answer = await asked(client, subject)  # Only of its own connections does the server tell an account anything.
        assert answer is None or answer["data"]["num_connections"] == 1, subject
    for stream in STREAMS:
        for name in others(user):
            await client.publish(f"$JS.ACK.{stream}.{name}.1.1.1.1.0", b"-TERM")
    after = await everything(provision)
    assert {one: (before.get(one), after.get(one)) for one in before | after if before.get(one) != after.get(one)} == {}


@pytest.mark.parametrize("user", USERS)
async def test_what_is_granted_works(user: str, connect: Callable[[str], Any]) -> None:
    """So that the test above cannot pass because nothing works at all."""
    provision, client = await connect("provision"), await connect(user)
    await prepare(provision)
    for stream in USERS[user]["read"]:
        name, last = f"{user}-1", f"{user}-{NAMES}"
        assert await asked(client, f"{API_PREFIX}.CONSUMER.DELETE.{stream}.{name}") == {
            "type": "io.nats.jetstream.api.v1.consumer_delete_response",
            "success": True,
        }
        for verb, body in (
            (f"STREAM.INFO.{stream}", None),
            (f"STREAM.MSG.GET.{stream}", {"seq": 1}),
            (f"CONSUMER.CREATE.{stream}.{name}", making(stream, name)),
            (f"CONSUMER.INFO.{stream}.{name}", None),
            (f"CONSUMER.CREATE.{stream}.{last}", making(stream, last)),
            (f"CONSUMER.DELETE.{stream}.{last}", None),
        ):
            answer = await asked(client, f"{API_PREFIX}.{verb}", body)
            assert answer is not None, verb
            assert "error" not in answer, verb
        inbox = await client.subscribe(client.new_inbox())
        await client.publish(f"{API_PREFIX}.CONSUMER.MSG.NEXT.{stream}.{name}", b'{"batch": 1}', reply=inbox.subject)
        pulled = await inbox.next_msg(timeout=5)
        assert pulled.reply.startswith(f"$JS.ACK.{stream}.{name}.")
    for stream in USERS[user].get("erase", ()):
        gone = await asked(client, f"{API_PREFIX}.STREAM.MSG.DELETE.{stream}", {"seq": 1})
        assert gone is not None
        assert gone["success"]
    for subject in USERS[user]["publish"]:
        answer = await asked(client, subject.replace(">", "p.things.x").replace("*.*", f"{user}.{token_hex(8)}"))
        assert answer is not None
        assert answer["seq"] > 0


@pytest.mark.parametrize("user", USERS)
async def test_nobody_publishes_what_is_somebody_elses(user: str, connect: Callable[[str], Any]) -> None:
    provision, client = await connect("provision"), await connect(user)
    before = await everything(provision)
    theirs = {subject for other in USERS.values() for subject in other["publish"]} - set(USERS[user]["publish"])
    for subject in [*theirs, "lifecycle.>", "lifecycle.new.>", "access.new", "telemetry.>", f"access.{user}.more"]:
        assert await asked(client, subject.replace(">", "p.things.x").replace("*.*", f"{user}.x")) is None, subject
    after = await everything(provision)
    assert {one: (before.get(one), after.get(one)) for one in before | after if before.get(one) != after.get(one)} == {}


async def test_a_body_that_says_otherwise_than_its_subject_is_refused(connect: Callable[[str], Any]) -> None:
    """The right is to a subject, so the server must not take the name, the stream or the filter from the body."""
    provision, client = await connect("provision"), await connect("registry")
    await prepare(provision)
    before = await everything(provision)
    name = "registry-2"
    for subject, body in (
        (f"LIFECYCLE.{name}", making("LIFECYCLE", "archive-2")),
        (f"LIFECYCLE.{name}", making("ACCESS", name)),
        (f"LIFECYCLE.{name}", making("LIFECYCLE", name, durable_name="archive-2")),
        (f"LIFECYCLE.{name}.lifecycle.registry.>", making("LIFECYCLE", name, filter_subject="lifecycle.archive.>")),
        (f"LIFECYCLE.{name}.lifecycle.registry.>", making("LIFECYCLE", name, filter_subjects=["lifecycle.>"])),
        (f"LIFECYCLE.{name}.access.>", making("LIFECYCLE", name, filter_subject="lifecycle.>")),
    ):
        answer = await asked(client, f"{API_PREFIX}.CONSUMER.CREATE.{subject}", body)
        assert answer is not None
        if "error" not in answer:
            assert (answer["stream_name"], answer["name"]) == ("LIFECYCLE", name), body
            await asked(client, f"{API_PREFIX}.CONSUMER.DELETE.LIFECYCLE.{name}")
    after = await everything(provision)
    assert {one: (before.get(one), after.get(one)) for one in before | after if before.get(one) != after.get(one)} == {}


@pytest.mark.parametrize("user", [user for user in USERS if USERS[user]["publish"]])
async def test_nobody_listens_to_what_others_of_its_account_send(user: str, connect: Callable[[str], Any]) -> None:
    """Replicas share one user: one of them must not see what the others predicted."""
    listener, sender = await connect(user), await connect(user)
    subject = USERS[user]["publish"][0].replace(">", "p.things.x")
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        heard.append(message.data)

    for wanted in (subject, ">", f"{API_PREFIX}.>"):
        await listener.subscribe(wanted, cb=hear)
    await listener.flush()
    assert await asked(sender, subject, {"a": 1}) is not None
    await listener.flush()
    assert heard == []


async def test_the_access_records_are_read_by_the_archive_only() -> None:
    assert [user for user, rights in USERS.items() if "ACCESS" in rights["read"]] == ["archive"]
    assert RIGHTS["followers"] == NAMES
