"""Webhooks as decisions, and what may be sent where: hostile addresses, hostile names, hostile answers."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from kernel.cloudevents import cloud_event
from kernel.errors import Invalid
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1 import webhooks_pb2 as hooks
from services.registry.domain import WEBHOOK
from services.registry.domain.outside import Outside, destination, is_inside, outside_of
from services.registry.domain.subjects import wanted
from services.registry.domain.webhooks import (
    MOST_WEBHOOKS,
    change_webhook,
    create_webhook,
    disable_webhook,
    pause_webhook,
    remove_webhook,
    request_redelivery,
    resume_webhook,
    rotate_secret,
)
from services.registry.webhooks.keyring import Keyring, open_keyring
from services.registry.webhooks.network import Guarded, Inside
from services.registry.webhooks.sender import Sender, retry_after_seconds
from services.registry.webhooks.signing import headers, secrets_of
from services.registry.webhooks.trust import trusted
from suite.certificates import Authority
from testkit.scenario import Life, life
from tests.registry.build import NOW, PROJECT_NAME, project
from tests.registry.receiver import receiver

NAME = f"{PROJECT_NAME}/webhooks/chat"
PUBLIC = Outside()
URL = "https://hooks.example.com/in"
SETTINGS = hooks.WebhookSettings(url=URL)
created = facts.WebhookCreated(settings=SETTINGS, key_id="k1")

HOSTILE_URLS = [
    ("http://example.com/", "URL_SCHEME"),
    ("ftp://example.com/", "URL_FORMAT"),
    ("file:///etc/passwd", "URL_FORMAT"),
    ("//example.com/", "URL_FORMAT"),
    ("https://user:pass@example.com/", "URL_FORMAT"),
    ("https://example.com@127.0.0.1/", "URL_FORMAT"),
    ("https://example.com:443@127.0.0.1/", "URL_FORMAT"),
    ("https://example.com\\@127.0.0.1/", "URL_FORMAT"),
    ("https://example.com/#@127.0.0.1", "URL_FORMAT"),
    ("https://example.com /", "URL_FORMAT"),
    ("https://example.com/\r\nHost: inside", "URL_FORMAT"),
    ("https://exa\tmple.com/", "URL_FORMAT"),
    ("https://①②⑦.⓪.⓪.①/", "URL_FORMAT"),
    ("https://пример.example/", "URL_FORMAT"),
    ("https://.example.com/", "URL_FORMAT"),
    ("https:///in", "URL_FORMAT"),
    ("https://example.com:22/", "URL_PORT"),
    ("https://example.com:99999/", "URL_PORT"),
    ("https://example.com:0/", "URL_PORT"),
    ("https://127.0.0.1/", "URL_ADDRESS"),
    ("https://10.1.2.3/", "URL_ADDRESS"),
    ("https://169.254.169.254/latest/meta-data/", "URL_ADDRESS"),
    ("https://168.63.129.16/", "URL_ADDRESS"),
    ("https://0.0.0.0/", "URL_ADDRESS"),
    ("https://[::1]/", "URL_ADDRESS"),
    ("https://[::]/", "URL_ADDRESS"),
    ("https://[::ffff:127.0.0.1]/", "URL_ADDRESS"),
    ("https://[::ffff:8.8.8.8]/", "URL_ADDRESS"),
    ("https://[::127.0.0.1]/", "URL_ADDRESS"),
    ("https://[64:ff9b::7f00:1]/", "URL_ADDRESS"),
    ("https://[64:ff9b:1::a00:1]/", "URL_ADDRESS"),
    ("https://[2002:7f00:1::]/", "URL_ADDRESS"),
    ("https://[2001:0:53aa:64c::]/", "URL_ADDRESS"),
    ("https://[fe80::1]/", "URL_ADDRESS"),
    ("https://[fd00:ec2::254]/", "URL_ADDRESS"),
    ("https://[ff02::1]/", "URL_ADDRESS"),
    ("https://[1:2:3]/", "URL_FORMAT"),
]
INSIDE = (
    "0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192"
    " 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1"
    " 255.255.255.255 168.63.129.16 ::1 :: ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: 2001::1 2001:db8::1 fc00::1"
    " fd12::1 fe80::1 fec0::1 ff05::1 100::1 3fff::1 5f00::1 fe80::1%eth0"
).split()
# What getaddrinfo makes addresses of although it looks like none.
ODD_NAMES = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "localhost", "LOCALHOST"]


@pytest.mark.parametrize(("url", "reason"), HOSTILE_URLS)
def test_addresses_that_lead_elsewhere_are_refused(url: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        destination(url, PUBLIC)
    assert [one.reason for one in caught.value.violations] == [reason]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside(address: str) -> None:
    from ipaddress import ip_address

    assert is_inside(ip_address(address), PUBLIC)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1"])
def test_what_is_outside(address: str) -> None:
    from ipaddress import ip_address

    assert not is_inside(ip_address(address), PUBLIC)


def test_an_installation_allows_more() -> None:
    allowed = outside_of(ports="443, 8443", http_hosts="chat.internal", networks="10.1.0.0/16,fd00::/8")
    assert destination("http://Chat.Internal:8443/x", allowed).host == "chat.internal"
    assert destination("https://10.1.2.3/", allowed).port == 443
    assert destination("https://[fd00::1]:8443/a?b=c", allowed).host == "fd00::1"
    for url in ("https://10.2.0.1/", "http://other.internal:8443/", "https://10.1.2.3:80/"):
        with pytest.raises(Invalid):
            destination(url, allowed)
    with pytest.raises(ValueError, match=r"10\.1\.2\.3/16"):
        outside_of(ports="", http_hosts="", networks="10.1.2.3/16")


@settings(max_examples=300, deadline=2000)
@given(st.text(alphabet="htps:/.@[]#?\\%0127fx-a é\n", max_size=40).map(lambda text: "https://" + text))
def test_what_is_taken_has_one_reading(url: str) -> None:
    """What passes is read the same by the client that sends."""
    try:
        found = destination(url, Outside(ports=frozenset(range(65536))))
    except Invalid:
        return
    read = httpcore.URL(url)
    assert read.host.decode().strip("[]").lower() == found.host
    assert (read.port or 443) == found.port


async def _sent(addresses: Sequence[str], outside: Outside, url: str, tls: ssl.SSLContext | None = None) -> Any:
    """The answer, and the names that were asked for."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [addresses[min(len(asked), len(addresses)) - 1]] if len(addresses) > 1 else addresses

    sender = Sender(outside, tls or trusted(""), timeout_seconds=2.0, resolve=resolve)
    try:
        answers = [await sender.send(url, {"content-type": "text/plain"}, b"x") for _ in addresses]
    finally:
        await sender.close()
    return answers, asked


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:7f00:1"])
async def test_a_name_that_leads_inside_is_refused_and_nothing_is_sent(address: str) -> None:
    async with receiver() as target:
        outside = outside_of(ports=f"{target.port}", http_hosts="rebind.example", networks="")
        answers, _ = await _sent([address], outside, f"http://rebind.example:{target.port}/")
        assert (answers[0].refused, answers[0].status, target.received) == (True, 0, [])
        assert address not in answers[0].error


async def test_a_name_with_one_bad_address_among_good_ones_is_refused() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with pytest.raises(Inside):
        await Guarded(PUBLIC, resolve).connect_tcp("rebind.example", 443)
    with pytest.raises(Inside):
        await Guarded(PUBLIC, resolve).connect_unix_socket("/run/docker.sock")


async def test_a_name_that_changes_its_address_between_check_and_use_gains_nothing() -> None:
    """One look-up a connection, and the connection goes to what was looked up: there is nothing to come between."""
    async with receiver() as target:
        outside = outside_of(ports=f"{target.port}", http_hosts="rebind.example", networks="127.0.0.1/32")

        async def closing(_target: Any, _received: Any) -> bytes:
            return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

        target.answer = closing
        answers, asked = await _sent(["127.0.0.1", "127.0.0.2"], outside, f"http://rebind.example:{target.port}/")
        assert [one.status for one in answers] == [200, 0]
        assert answers[1].refused
        assert asked == ["rebind.example", "rebind.example"]
        assert target.received[0].headers["host"] == f"rebind.example:{target.port}"


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_spellings_of_addresses_inside_are_refused_by_what_they_lead_to(name: str) -> None:
    sender = Sender(PUBLIC, trusted(""), timeout_seconds=2.0)
    try:
        answer = await sender.send(f"https://{name}/", {}, b"x")
    finally:
        await sender.close()
    assert (answer.refused or "no address" in answer.error, answer.status) == (True, 0)


async def test_certificates_are_those_of_the_name_although_the_address_is_connected_to(tmp_path: Path) -> None:
    authority = Authority.new()
    (tmp_path / "ca.crt").write_text(authority.certificate)
    pair = authority.issue("receiver", hosts=["receiver.example"]).write(tmp_path, "receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    async with receiver(tls=context) as target:
        outside = outside_of(ports=f"{target.port}", http_hosts="", networks="127.0.0.0/8")
        ours = trusted(str(tmp_path / "ca.crt"))
        right, _ = await _sent(["127.0.0.1"], outside, f"https://receiver.example:{target.port}/", ours)
        assert right[0].status == 200
        for host, believed in (("other.example", ours), ("receiver.example", trusted(""))):
            wrong, _ = await _sent(["127.0.0.1"], outside, f"https://{host}:{target.port}/", believed)
            assert (wrong[0].status, "CERTIFICATE_VERIFY_FAILED" in wrong[0].error) == (0, True), wrong
        assert len(target.received) == 1


async def test_an_answer_that_drips_ends_with_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"X-Drip: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outside = outside_of(ports=f"{port}", http_hosts="127.0.0.1", networks="127.0.0.0/8")
    sender = Sender(outside, trusted(""), timeout_seconds=0.5)
    try:
        async with asyncio.timeout(5):
            answer = await sender.send(f"http://127.0.0.1:{port}/", {}, b"x")
    finally:
        await sender.close()
        server.close()
    assert (answer.status, answer.error) == (0, "no whole answer within 0.5 s")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("99999999999999999999", 0.0),
        ("999999999", 86400.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_how_long_a_receiver_asks_to_wait(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, datetime(2026, 3, 1, 12, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("subjects", "subject", "takes"),
    [
        ((), "lifecycle.monitoring.risk.alerts.m.1", True),
        ((), "lifecycle.registry.other.versions.fraud.1", False),
        ((), "lifecycle.registry.risk.webhooks.chat", False),
        ((), "lifecycle.registry.risk.watches.ab", False),
        (("lifecycle.registry.risk.versions.>",), "lifecycle.registry.risk.versions.fraud.1", True),
        (("lifecycle.registry.risk.versions.>",), "lifecycle.registry.risk.models.fraud", False),
        (("lifecycle.registry.risk.versions.fraud.*",), "lifecycle.registry.risk.versions.fraud.12", True),
        (("lifecycle.*.risk.*.fraud",), "lifecycle.registry.risk.models.fraud", True),
        (("lifecycle.*.risk.*.fraud",), "lifecycle.registry.risk.versions.fraud.1", False),
        (("projects/risk/models/fraud",), "lifecycle.registry.risk.versions.fraud.1", True),
        (("projects/risk/models/fraud",), "lifecycle.registry.risk.models.fraud", True),
        (("projects/risk/models/frau",), "lifecycle.registry.risk.models.fraud", False),
    ],
)
def test_which_facts_are_wanted(subjects: tuple[str, ...], subject: str, takes: bool) -> None:
    tokens = subject.split(".")
    name = f"projects/{tokens[2]}/models/{tokens[4]}" + ("/versions/1" if tokens[3] == "versions" else "")
    found = wanted(PROJECT_NAME, subjects, [], "subjects")
    assert found.takes(subject, name, "TagSet") == takes
    assert not takes or found.takes_subject(subject)
    assert wanted(PROJECT_NAME, subjects, ["Other"], "subjects").takes(subject, name, "TagSet") is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lifecycle.registry.other.>", "OTHER_PROJECT"),
        ("lifecycle.registry.*.>", "OTHER_PROJECT"),
        ("lifecycle.>", "SUBJECT_FORMAT"),
        (">", "SUBJECT_FORMAT"),
        ("access.registry.risk.>", "SUBJECT_FORMAT"),
        ("lifecycle.registry.risk.>.x", "SUBJECT_FORMAT"),
        ("lifecycle.registry.risk.a b", "SUBJECT_FORMAT"),
        ("$JS.API.risk.>", "SUBJECT_FORMAT"),
        ("projects/other/models/x", "OTHER_PROJECT"),
        ("projects/risk/models/", "SUBJECT_FORMAT"),
    ],
)
def test_filters_stay_in_their_project(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        wanted(PROJECT_NAME, [text], [], "subjects")
    assert [one.reason for one in caught.value.violations] == [reason]


def test_secrets_come_from_the_key_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "webhooks.key"
    first = open_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o400
    again = open_keyring(path)
    assert first.newest == again.newest
    assert first.secret(first.newest, NAME, 1) == again.secret(first.newest, NAME, 1)
    made = {first.secret(first.newest, name, number) for name in (NAME, NAME + "2") for number in (1, 2)}
    assert len(made) == 4
    assert Keyring([b"x" * 32]).secret(first.newest, NAME, 1) == ""
    path.chmod(0o444)
    with pytest.raises(SystemExit, match="can be read by others"):
        open_keyring(path)
    for text in ("not base64!", "", "c2hvcnQ="):
        other = tmp_path / "bad"
        other.unlink(missing_ok=True)
        other.write_text(text)
        other.chmod(0o400)
        with pytest.raises(SystemExit):
            open_keyring(other)


def test_a_key_is_replaced_by_putting_another_before_it() -> None:
    old, new = Keyring([b"a" * 32]), Keyring([b"b" * 32, b"a" * 32])
    hook = hooks.Webhook(name=NAME, key_id=old.newest, secret=1)
    assert secrets_of(hook, new, NOW) == [old.secret(old.newest, NAME, 1)]
    state = webhook(facts.WebhookCreated(settings=SETTINGS, key_id=old.newest)).given(
        rotated(2, key_id=new.newest, until=NOW + timedelta(hours=1))
    )
    both = secrets_of(state.state, new, NOW)
    assert both == [new.secret(new.newest, NAME, 2), old.secret(old.newest, NAME, 1)]
    assert secrets_of(state.state, new, NOW + timedelta(hours=2)) == both[:1]
    assert secrets_of(state.state, old, NOW) == ()
    now = datetime.now(UTC)
    sent = headers(both, "id", '{"a":"é"}', now)
    for secret in both:
        assert Verifier(secret).verify('{"a":"é"}'.encode(), sent) == {"a": "é"}


def webhook(*events: Any) -> Life:
    return life(WEBHOOK, NAME).given(*(events or (created,)))


def rotated(number: int, *, key_id: str, until: datetime) -> facts.WebhookSecretRotated:
    event = facts.WebhookSecretRotated(secret=number, key_id=key_id)
    event.former_expire_time.FromDatetime(until)
    return event


def test_a_webhook_is_created_once_and_only_so_many() -> None:
    asked = {
        "name": NAME,
        "settings": SETTINGS,
        "from_revision": 0,
        "others": 0,
        "key_id": "k1",
        "outside": PUBLIC,
    }
    life(WEBHOOK, NAME).when(create_webhook, project(), **asked).then(created)
    life(WEBHOOK, NAME).when(create_webhook, types.Project(), **asked).then_refused("PROJECT_NOT_FOUND")
    webhook().when(create_webhook, project(), **asked).then_refused("WEBHOOK_EXISTS")
    webhook(created, facts.WebhookRemoved()).when(create_webhook, project(), **asked).then_refused("WEBHOOK_EXISTS")
    many = asked | {"others": MOST_WEBHOOKS}
    life(WEBHOOK, NAME).when(create_webhook, project(), **many).then_refused("TOO_MANY_WEBHOOKS")
    inside = asked | {"settings": hooks.WebhookSettings(url="https://127.0.0.1/")}
    life(WEBHOOK, NAME).when(create_webhook, project(), **inside).then_refused("INVALID_REQUEST")


def test_states_of_a_webhook() -> None:
    one = webhook()
    one.when(resume_webhook).then_nothing()
    one.when(pause_webhook).then(facts.WebhookPaused())
    one.given(facts.WebhookPaused())
    one.when(pause_webhook).then_nothing()
    one.when(disable_webhook, explanation="gone").then_nothing()
    one.given(facts.WebhookResumed(), facts.WebhookDisabled(explanation="gone"))
    assert (one.state.state, one.state.state_reason) == (hooks.WEBHOOK_STATE_DISABLED, "gone")
    one.when(resume_webhook).then(facts.WebhookResumed())
    one.given(facts.WebhookRemoved())
    assert one.state.state_reason == ""
    one.when(remove_webhook).then_nothing()
    for verb in (pause_webhook, resume_webhook):
        one.when(verb).then_refused("WEBHOOK_REMOVED")
    life(WEBHOOK, NAME).when(pause_webhook).then_refused("WEBHOOK_NOT_FOUND")


def test_changes_are_whole_and_checked() -> None:
    def change(paths: list[str], **fields: Any) -> Any:
        settings = hooks.WebhookSettings(**fields)
        return webhook().when(change_webhook, settings=settings, mask=FieldMask(paths=paths), outside=PUBLIC)

    change(["title"], title="Chat", url="ignored").then(
        facts.WebhookChanged(settings=hooks.WebhookSettings(url=URL, title="Chat"))
    )
    change(["url"], url=URL).then_nothing()
    change(["url"], url="https://10.0.0.1/").then_refused("INVALID_REQUEST")
    change(["secret"]).then_refused("INVALID_REQUEST")


def test_redeliveries_are_numbered_and_the_last_twenty_kept() -> None:
    one = webhook()
    one.when(request_redelivery, from_revision=3, to_revision=5).then(
        facts.RedeliveryRequested(number=1, from_revision=3, to_revision=5)
    )
    one.given(*(facts.RedeliveryRequested(number=n, from_revision=1, to_revision=2) for n in range(1, 31)))
    assert [item.number for item in one.state.redeliveries] == list(range(11, 31))
    one.when(request_redelivery, from_revision=1, to_revision=1).then(
        facts.RedeliveryRequested(number=31, from_revision=1, to_revision=1)
    )


def test_a_rotation_names_the_secret_and_its_key() -> None:
    webhook().when(rotate_secret, overlap=timedelta(hours=1), key_id="k2", now=NOW).then(
        rotated(2, key_id="k2", until=NOW + timedelta(hours=1))
    )


def test_a_fact_of_an_unknown_kind_keeps_its_bytes() -> None:
    fact = webhook().facts[0]
    assert cloud_event(fact, 7)["data"]["settings"]["url"] == URL
    strange = Fact(id="a", resource=NAME)
    strange.event.type_url, strange.event.value = "type.googleapis.com/modelog.registry.v2.Later", b"\x01"
    event = cloud_event(strange, 8)
    assert (event["type"], event["data_base64"], "data" in event) == ("modelog.registry.v2.Later", "AQ==", False)
