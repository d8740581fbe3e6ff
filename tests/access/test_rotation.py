"""Keys change while calls go on: no good call fails, what was withdrawn ends, and the issuer is left in peace."""

import asyncio
import contextlib
import http.server
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from access.credentials import Proofs, proofs
from kernel.errors import Unauthenticated, Unavailable
from kernel.identity import Peer
from kernel.rooms import now
from kernel.settings import Settings
from modelog.status.v1 import status_service_pb2 as status
from modelog.status.v1 import status_service_pb2_grpc as stubs
from services.registry.__main__ import BLUEPRINT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import Live, service
from testkit.people import People
from tests.access.forge import Forge, bearer, private_key, public_jwk

PEER = Peer("ipv4:127.0.0.1:1")


class KeyServer:
    """A JWKS over HTTP that counts who asks, and fails when told to."""

    def __init__(self) -> None:
        self.content: Callable[[], bytes] = lambda: b""
        self.status = 200
        self.asked = 0
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["KeyServer"]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                content = outer.content()
                with contextlib.suppress(ConnectionError):  # Whoever asked may have lost patience.
                    self.send_response(outer.status)
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Counted above."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join()


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "forge")


@pytest.fixture
def keys(forge: Forge) -> Iterator[KeyServer]:
    with KeyServer().serving() as server:
        server.content = forge.jwks.read_bytes
        yield server


def proving(forge: Forge, **more: Any) -> Proofs:
    return proofs(Settings(nats_url="", postgres_url="", **forge.settings(**more)), now)


async def known(proving_now: Proofs, token: str) -> None:
    await proving_now.caller(dict(bearer(token)), PEER)


async def refused_within(seconds: float, ask: Callable[[], Any]) -> str:
    """The reason."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            await ask()
        except Unauthenticated as error:
            return error.reason
        await asyncio.sleep(0.05)
    return f"still accepted after {seconds} s"


@pytest.mark.parametrize("by_url", [False, True], ids=["file", "url"])
async def test_no_good_call_fails_while_keys_rotate_and_the_former_key_stops(
    forge: Forge, keys: KeyServer, by_url: bool
) -> None:
    proving_now = proving(forge, oidc_keys=keys.url if by_url else str(forge.jwks))
    current, good, stopped = "EdDSA", 0, False
    held = dict(forge.keys)

    def signed(kid: str) -> str:
        return forge.signed(forge.claims(), {"alg": "EdDSA", "kid": kid}, held[kid])

    async def call_on_and_on() -> None:
        nonlocal good
        while not stopped:
            await known(proving_now, signed(current))
            good += 1
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(call_on_and_on())
        for number in range(2):
            await asyncio.sleep(0.3)
            fresh = f"key-{number}"
            held[fresh] = private_key("EdDSA")
            forge.publish({current: held[current], fresh: held[fresh]})
            former, current = current, fresh
            remembered, unseen = signed(former), signed(former)
            await known(proving_now, remembered)
            await asyncio.sleep(0.3)
            forge.publish({current: held[current]})
            assert await refused_within(6, partial(known, proving_now, remembered)) == "TOKEN_KEY_UNKNOWN"
            with pytest.raises(Unauthenticated, match="TOKEN_KEY_UNKNOWN"):
                await known(proving_now, unseen)
        stopped = True
    assert good > 100


async def test_forged_keys_do_not_make_the_issuer_be_asked_for_each(forge: Forge, keys: KeyServer) -> None:
    proving_now = proving(forge, oidc_keys=keys.url)
    await known(proving_now, forge.token())
    began, asked = time.monotonic(), keys.asked

    async def forged(number: int) -> None:
        with pytest.raises(Unauthenticated, match="TOKEN_KEY_UNKNOWN"):
            await known(proving_now, forge.token(header={"kid": f"forged-{number}"}))

    for start in range(0, 1000, 250):
        await asyncio.gather(*(forged(number) for number in range(start, start + 250)))
    assert keys.asked - asked <= 1 + (time.monotonic() - began) / 2.0


async def test_while_the_issuer_is_away_the_last_keys_hold_and_the_log_says_so(
    forge: Forge, keys: KeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    proving_now = proving(forge, oidc_keys=keys.url, oidc_refresh_seconds=0.2)
    await known(proving_now, forge.token())
    for status_code, content in ((500, b""), (302, b""), (200, b"<html>"), (200, b'{"keys": 7}')):
        keys.status, keys.content = status_code, partial(bytes, content)
        await asyncio.sleep(0.3)
        await known(proving_now, forge.token())
        assert "token_keys_not_refreshed" in capsys.readouterr().out
    keys.status, keys.content = 200, lambda: b'{"keys": []}'  # Said, and not failed to say: all keys are withdrawn.
    assert await refused_within(2, partial(known, proving_now, forge.token())) == "TOKEN_KEY_UNKNOWN"


async def test_after_a_rest_no_call_is_judged_by_old_keys(forge: Forge, keys: KeyServer) -> None:
    proving_now = proving(forge, oidc_keys=keys.url, oidc_refresh_seconds=0.5)
    token = forge.token()
    await asyncio.gather(*(known(proving_now, token) for _ in range(8)))
    forge.publish({"EdDSA": private_key("EdDSA")})
    await asyncio.sleep(0.6)
    outcomes = await asyncio.gather(*(known(proving_now, token) for _ in range(8)), return_exceptions=True)
    assert [getattr(one, "reason", "") for one in outcomes] == ["TOKEN_SIGNATURE"] * 8


async def test_before_any_key_was_ever_loaded_the_caller_is_asked_to_try_again(forge: Forge, keys: KeyServer) -> None:
    keys.status = 503
    proving_now = proving(forge, oidc_keys=keys.url)
    with pytest.raises(Unavailable, match="KEYS_UNREACHABLE"):
        await known(proving_now, forge.token())
    keys.status = 200
    await known(proving_now, forge.token())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"d": "AAAA"}, "private key"), ({"x": "AA"}, "cannot be read"), ({"kid": "k" * 300}, "kid")],
)
async def test_a_key_that_is_wrong_is_left_out_and_the_log_says_so(
    forge: Forge, change: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(forge.jwks.read_text())
    document["keys"][0] |= change
    forge.jwks.write_text(json.dumps(document))
    proving_now = proving(forge)
    assert sentence in capsys.readouterr().out
    await known(proving_now, forge.token("ES256"))
    with pytest.raises(Unauthenticated, match="TOKEN_KEY_UNKNOWN"):
        await known(proving_now, forge.token("EdDSA"))


def test_a_file_without_a_usable_key_stops_the_start(forge: Forge) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    forge.jwks.write_text(json.dumps({"keys": [public_jwk(weak, "RS256", kid="weak")]}))
    with pytest.raises(SystemExit, match="no key for ES256, EdDSA, RS256"):
        proving(forge)


async def test_a_source_that_hangs_holds_up_nobody_for_long(forge: Forge, keys: KeyServer) -> None:
    proving_now = proving(forge, oidc_keys=keys.url, oidc_refresh_seconds=0.2)
    await known(proving_now, forge.token())
    hanging = threading.Event()
    keys.content = lambda: str(hanging.wait(20)).encode()
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await asyncio.gather(*(known(proving_now, forge.token()) for _ in range(20)))
    await asyncio.gather(*(known(proving_now, forge.token()) for _ in range(20)))
    hanging.set()
    assert time.monotonic() - began < 10


def test_two_keys_of_one_name_stop_the_start(forge: Forge) -> None:
    document = json.loads(forge.jwks.read_text())
    document["keys"].append({**document["keys"][1], "kid": document["keys"][0]["kid"]})
    forge.jwks.write_text(json.dumps(document))
    with pytest.raises(SystemExit, match="same kid"):
        proving(forge)


async def test_keys_for_other_purposes_are_left_out(forge: Forge) -> None:
    document = json.loads(forge.jwks.read_text())
    for one, change in zip(document["keys"], ({"use": "enc"}, {"alg": "ES384"}, {"key_ops": ["sign"]}), strict=True):
        one |= change
    document["keys"].append({"kty": "oct", "k": "AAAA", "kid": "shared"})
    document["keys"].append(public_jwk(private_key("EdDSA"), "EdDSA", kid="good"))
    forge.jwks.write_text(json.dumps(document))
    proving_now = proving(forge)
    for algorithm in forge.keys:
        with pytest.raises(Unauthenticated, match="TOKEN_KEY_UNKNOWN"):
            await known(proving_now, forge.token(algorithm))


async def test_one_key_alone_needs_no_name(forge: Forge) -> None:
    forge.publish({"": forge.keys["EdDSA"]})
    await known(proving(forge), forge.token(header={"kid": None}))


@pytest.fixture
async def live(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, people: People
) -> AsyncIterator[Live]:
    async with service(BLUEPRINT, nats, postgres, tmp_path, schema=schema, **people.settings()) as up:
        yield up


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


async def test_the_suites_issuer_rotates_under_calls_of_a_service(live: Live, people: People) -> None:
    stub: Any = stubs.StatusServiceStub(live.channel)
    stopped = False

    async def call_on_and_on() -> None:
        while not stopped:
            reply = await stub.WhoAmI(status.WhoAmIRequest(), metadata=people("users/ada", "users/bob"), timeout=20)
            assert (reply.principal.id, [one.id for one in reply.on_behalf_of]) == ("users/ada", ["users/bob"])

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(call_on_and_on())
        for _ in range(3):
            await asyncio.sleep(0.5)
            people.issuer.rotate(keep_seconds=3)
        stopped = True
    assert len(json.loads(people.issuer.jwks.read_text())["keys"]) == 4
    await asyncio.sleep(3)
    people.issuer.open()
    assert len(json.loads(people.issuer.jwks.read_text())["keys"]) == 1
