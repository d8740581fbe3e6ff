"""What services may do with the log across accounts, and that nothing else works."""

import asyncio
import itertools
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.errors import BadRequestError

from suite.log_rights import API_PREFIX, RIGHTS
from suite.nats_server import NatsServer

_numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.cycle(range(1, RIGHTS["followers"] + 1)))
SECOND = 1_000_000_000
STREAMS = ["LIFECYCLE", "TELEMETRY", "ACCESS", "TEXTS"]
SERVICES = ["registry", "deployment", "monitoring", "archive"]
STREAMS = ["LIFECYCLE", "TELEMETRY", "ACCESS", "TEXTS"]


@pytest.fixture
async def connect(log_server: NatsServer) -> AsyncIterator[Callable[[str], Any]]:
    async with AsyncExitStack() as stack:

        async def open_client(user: str) -> Client:
            client = await nats.connect(log_server.url_for(user), error_cb=ignore)
            stack.push_async_callback(client.close)
            return client

        yield open_client


async def ignore(_error: Exception) -> None:
    """Refused publishes arrive here; the tests look at what they did."""


async def api(client: Client, verb: str, request: Any = None, *, prefix: str = API_PREFIX) -> dict[str, Any]:
    body = b"" if request is None else json.dumps(request).encode()
    answer: dict[str, Any] = json.loads((await client.request(f"{prefix}.{verb}", body, timeout=2)).data)
    return answer


async def state(provision: Client, stream: str = "LIFECYCLE") -> dict[str, Any]:
    return dict((await api(provision, f"STREAM.INFO.{stream}", prefix="$JS.API"))["state"])


def reader(name: str, stream: str = "LIFECYCLE", **more: Any) -> dict[str, Any]:
    config = {"name": name, "ack_policy": "none", "mem_storage": True, "inactive_threshold": 30 * SECOND} | more
    return {"stream_name": stream, "config": config, "action": "create"}


async def pull(client: Client, consumer: str, inbox: str, *, batch: int) -> None:
    body = {"batch": batch, "expires": 2 * SECOND, "idle_heartbeat": SECOND // 2}
    await client.publish(f"{API_PREFIX}.CONSUMER.MSG.NEXT.{consumer}", json.dumps(body).encode(), reply=inbox)


def own(user: str) -> str:
    """A name of a consumer that the user may use; each test takes another one."""
    return f"{user}-{next(_numbers[user])}"


def subject_of(service: str) -> str:
    return f"lifecycle.{service}.{secrets.token_hex(6)}.things.x"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_appends_under_guard_and_reads_back(service: str, connect: Callable[[str], Any]) -> None:
    client = await connect(service)
    js = client.jetstream(prefix=API_PREFIX)
    subject = subject_of(service)
    first = await js.publish(
        subject, b"one", headers={"Nats-Msg-Id": secrets.token_hex(8), "Nats-Expected-Last-Subject-Sequence": "0"}
    )
    assert first.stream == "LIFECYCLE"
    with pytest.raises(BadRequestError) as stale:
        await js.publish(
            subject, b"two", headers={"Nats-Msg-Id": secrets.token_hex(8), "Nats-Expected-Last-Subject-Sequence": "0"}
        )
    assert stale.value.err_code == 10071
    last = await api(client, "STREAM.MSG.GET.LIFECYCLE", {"last_by_subj": subject})
    assert last["message"]["seq"] == first.seq
    assert (await api(client, "STREAM.INFO.LIFECYCLE"))["state"]["last_seq"] >= first.seq


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_follows_the_log_from_a_position(service: str, connect: Callable[[str], Any]) -> None:
    client = await connect(service)
    js = client.jetstream(prefix=API_PREFIX)
    subject = subject_of(service)
    sent = [(await js.publish(subject, f"{n}".encode())).seq for n in range(5)]
    name = own(service)
    request = reader(name, deliver_policy="by_start_sequence", opt_start_seq=sent[2], filter_subject=subject)
    created = await api(client, f"CONSUMER.CREATE.LIFECYCLE.{name}.{subject}", request)
    assert "error" not in created
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=arrived.put)
    await pull(client, f"LIFECYCLE.{name}", inbox, batch=100)
    sent.append((await js.publish(subject, b"5")).seq)  # One that comes while the pull is open.
    messages: list[Msg] = []
    statuses: list[str] = []
    async with asyncio.timeout(5):
        while "408" not in statuses:
            message = await arrived.get()
            status = (message.headers or {}).get("Status")
            if status:
                statuses.append(status)
            else:
                messages.append(message)
    assert [m.data for m in messages] == [b"2", b"3", b"4", b"5"]
    assert [int(m.reply.split(".")[-4]) for m in messages] == sent[2:]
    assert "100" in statuses  # The heartbeat, by which a reader tells a quiet log from a dead server.
    assert (await api(client, f"CONSUMER.INFO.LIFECYCLE.{name}"))["delivered"]["consumer_seq"] == 4
    assert (await api(client, f"CONSUMER.DELETE.LIFECYCLE.{name}"))["success"]


async def test_each_service_records_access_and_the_archive_reads_it(connect: Callable[[str], Any]) -> None:
    sent = []
    for service in SERVICES:
        ack = json.loads((await (await connect(service)).request(f"access.{service}", b"who", timeout=2)).data)
        assert ack["stream"] == "ACCESS"
        sent.append(ack["seq"])
    archive, name = await connect("archive"), own("archive")
    request = reader(name, "ACCESS", deliver_policy="by_start_sequence", opt_start_seq=sent[0])
    assert "error" not in await api(archive, f"CONSUMER.CREATE.ACCESS.{name}", request)
    inbox = await archive.subscribe(archive.new_inbox())
    await pull(archive, f"ACCESS.{name}", inbox.subject, batch=len(sent))
    messages = [await inbox.next_msg(timeout=2) for _ in sent]
    assert [message.subject for message in messages] == [f"access.{service}" for service in SERVICES]


async def test_an_empty_message_does_not_cut_a_pull_short(connect: Callable[[str], Any]) -> None:
    """Between accounts an empty answer ends a stream of answers: an empty poison message must not starve readers."""
    client = await connect("registry")
    js = client.jetstream(prefix=API_PREFIX)
    subject = subject_of("registry")
    for payload in (b"before", b"", b"after"):
        await js.publish(subject, payload)
    name = own("registry")
    await api(client, f"CONSUMER.CREATE.LIFECYCLE.{name}.{subject}", reader(name, filter_subject=subject))
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=arrived.put)
    got: list[bytes] = []
    async with asyncio.timeout(5):
        for _ in range(3):
            await pull(client, f"LIFECYCLE.{name}", inbox, batch=1)
            got.append((await arrived.get()).data)
    assert got == [b"before", b"", b"after"]


async def test_inference_sends_telemetry_and_monitoring_consumes_it(connect: Callable[[str], Any]) -> None:
    inference, monitoring = await connect("inference"), await connect("monitoring")
    ack = await inference.request("telemetry.predictions.risk.fraud", b"rows", timeout=2)
    assert json.loads(ack.data)["stream"] == "TELEMETRY"
    late = await monitoring.request("telemetry.outcomes.risk.fraud", b"labels", timeout=2)
    assert json.loads(late.data)["stream"] == "TELEMETRY"
    name, subjects = own("monitoring"), "telemetry.predictions.>"
    request = reader(name, "TELEMETRY", filter_subject=subjects)
    assert "error" not in await api(monitoring, f"CONSUMER.CREATE.TELEMETRY.{name}.{subjects}", request)
    inbox = await monitoring.subscribe(monitoring.new_inbox())
    await pull(monitoring, f"TELEMETRY.{name}", inbox.subject, batch=1)
    assert (await inbox.next_msg(timeout=2)).data == b"rows"


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "PURGE", "CREATE", "MSG.DELETE", "SNAPSHOT", "LEADER.STEPDOWN"])
@pytest.mark.parametrize("prefix", [API_PREFIX, "$JS.API"])
async def test_no_service_may_change_the_stream(verb: str, prefix: str, connect: Callable[[str], Any]) -> None:
    provision, client = await connect("provision"), await connect("registry")
    await client.jetstream(prefix=API_PREFIX).publish(subject_of("registry"), b"kept")
    before = await state(provision)
    config = {"name": "LIFECYCLE", "subjects": ["lifecycle.>"], "max_msgs": 1, "discard": "old"}
    for body in (None, config, {"seq": before["last_seq"]}):
        # Nobody answers, or the server does for the service's own account, which has no JetStream.
        try:
            answer = await api(client, f"STREAM.{verb}.LIFECYCLE", body, prefix=prefix)
        except NoRespondersError:
            continue
        assert "error" in answer
    assert counted(await state(provision)) == counted(before)


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("registry", "lifecycle.deployment.p.endpoints.e"),
        ("registry", "telemetry.predictions.p.e"),
        ("inference", "telemetry.outcomes.p.e"),
        ("inference", "lifecycle.registry.p.models.m"),
        ("inference", f"{API_PREFIX}.STREAM.INFO.LIFECYCLE"),
        ("archive", f"{API_PREFIX}.STREAM.INFO.TELEMETRY"),
        ("registry", "access.deployment"),
        ("archive", "access.registry"),
        ("inference", "access.monitoring"),
        ("registry", f"{API_PREFIX}.STREAM.INFO.ACCESS"),
        ("deployment", f"{API_PREFIX}.CONSUMER.CREATE.ACCESS.one"),
        ("archive", f"{API_PREFIX}.STREAM.PURGE.ACCESS"),
    ],
)
async def test_a_user_reaches_only_what_is_its_own(user: str, subject: str, connect: Callable[[str], Any]) -> None:
    provision, client = await connect("provision"), await connect(user)
    before = [counted(await state(provision, stream)) for stream in STREAMS]
    with pytest.raises(NoRespondersError):
        await client.request(subject, b"x", timeout=2)
    assert [counted(await state(provision, stream)) for stream in STREAMS] == before


FORGED = [
    "$JS.API.STREAM.DELETE.LIFECYCLE",
    "$JS.API.STREAM.PURGE.LIFECYCLE",
    f"{API_PREFIX}.STREAM.DELETE.LIFECYCLE",
    "lifecycle.deployment.p.endpoints.forged",
    "telemetry.predictions.p.forged",
]


@pytest.mark.parametrize("reply", FORGED)
async def test_an_answer_sent_to_a_forged_subject_changes_nothing(reply: str, connect: Callable[[str], Any]) -> None:
    provision, client = await connect("provision"), await connect("registry")
    subject = subject_of("registry")
    # The requests to delete or purge are empty, so an empty message would make one.
    await client.jetstream(prefix=API_PREFIX).publish(subject, b"")
    name = own("registry")
    await api(client, f"CONSUMER.CREATE.LIFECYCLE.{name}.{subject}", reader(name, filter_subject=subject))
    before = [counted(await state(provision, stream)) for stream in ("LIFECYCLE", "TELEMETRY")]
    for verb, body in (
        ("STREAM.INFO.LIFECYCLE", b""),
        ("STREAM.MSG.GET.LIFECYCLE", json.dumps({"last_by_subj": subject}).encode()),
        (f"CONSUMER.MSG.NEXT.LIFECYCLE.{name}", json.dumps({"batch": 1, "no_wait": True}).encode()),
        (f"CONSUMER.MSG.NEXT.LIFECYCLE.{name}", b""),
    ):
        await client.publish(f"{API_PREFIX}.{verb}", body, reply=reply)
    await settled(client)
    assert [counted(await state(provision, stream)) for stream in ("LIFECYCLE", "TELEMETRY")] == before


async def test_inside_one_account_a_forged_subject_does_delete(connect: Callable[[str], Any]) -> None:
    """Why the log has an account of its own; and that the test above would notice."""
    provision = await connect("provision")
    victim = {"name": "VICTIM", "subjects": ["victim.>"], "allow_direct": True}
    await api(provision, "STREAM.CREATE.VICTIM", victim, prefix="$JS.API")
    await provision.jetstream().publish("victim.a", b"")
    await provision.publish("$JS.API.DIRECT.GET.VICTIM", b'{"seq": 1}', reply="$JS.API.STREAM.DELETE.VICTIM")
    await settled(provision)
    assert (await api(provision, "STREAM.INFO.VICTIM", prefix="$JS.API"))["error"]["err_code"] == 10059


AIMS = [
    "$JS.API.STREAM.DELETE.LIFECYCLE",
    "$JS.API.STREAM.PURGE.LIFECYCLE",
    "$JS.API.STREAM.UPDATE.LIFECYCLE",
    "$JS.API.CONSUMER.DELETE.LIFECYCLE.archive-16",
    "access.deployment",
    "telemetry.predictions.p.e",
]
# As the server itself describes a client to its JetStream; the message carries it into the log's account.
AS_PROVISION = {"Nats-Request-Info": json.dumps({"acc": "LOG", "user": "provision", "rtt": 1, "server": "modelog"})}


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("headers", [{}, AS_PROVISION], ids=["plain", "as provision"])
async def test_a_push_consumer_changes_nothing_wherever_it_aims(
    aim: str, headers: dict[str, str], connect: Callable[[str], Any]
) -> None:
    """It delivers inside the log's account, so what it delivers and where to is in the hands of whoever made it."""
    provision, client, other = await connect("provision"), await connect("registry"), await connect("archive")
    subject = subject_of("registry")
    await api(other, "CONSUMER.CREATE.LIFECYCLE.archive-16", reader("archive-16"))
    harm = {"name": "LIFECYCLE", "subjects": ["lifecycle.>"], "max_msgs": 1, "discard": "old"}
    body = json.dumps(harm).encode() if "UPDATE" in aim else b""
    await client.jetstream(prefix=API_PREFIX).publish(subject, body, headers=headers)
    before = [await api(provision, f"STREAM.INFO.{stream}", prefix="$JS.API") for stream in STREAMS]
    request = reader("registry-16", deliver_subject=aim, filter_subject=subject)
    await api(client, f"CONSUMER.CREATE.LIFECYCLE.registry-16.{subject}", request)
    await settled(client)
    after = [await api(provision, f"STREAM.INFO.{stream}", prefix="$JS.API") for stream in STREAMS]
    for stream_before, stream_after in zip(before, after, strict=True):
        assert stream_after["config"] == stream_before["config"]
        assert counted(stream_after["state"]) == counted(stream_before["state"])
    assert "error" not in await api(other, "CONSUMER.DELETE.LIFECYCLE.archive-16")
    await api(client, "CONSUMER.DELETE.LIFECYCLE.registry-16")


def counted(stream_state: dict[str, Any]) -> tuple[int, int, int]:
    return stream_state["messages"], stream_state["first_seq"], stream_state["last_seq"]


async def settled(client: Client) -> None:
    """Until the server has done what it does of its own accord after a request."""
    await client.flush()
    await asyncio.sleep(0.3)
