"""What may be sent where: hostile addresses, hostile names, hostile answers."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import Invalid
from services.registry.domain.outside import Outside, destination, is_inside, outside_of
from services.registry.webhooks.network import Guarded, Inside
from services.registry.webhooks.sender import Sender, retry_after_seconds
from services.registry.webhooks.trust import trusted
from suite.certificates import Authority
from tests.registry.receiver import receiver

PUBLIC = Outside()
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
    assert is_inside(ip_address(address), PUBLIC)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1"])
def test_what_is_outside(address: str) -> None:
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


@settings(max_examples=150, deadline=2000)
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
