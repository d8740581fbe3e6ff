"""`modelog login` at a real OpenID Connect provider, and calls of a service that takes its tokens: no mock between."""

import asyncio
import json
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelog.cli.failures import DENIED, FAILED, UNAVAILABLE
from modelog.sdk import logins
from services.registry.__main__ import BLUEPRINT
from suite.folder import free_port
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.access.browser import Browser
from tests.cli.line import CommandLine

pytestmark = pytest.mark.timeout(300)
_START_SECONDS = 120.0
_PEOPLE = {"ada": "a-long-password", "bob": "another-long-password"}


@dataclass(frozen=True)
class Provider:
    folder: Path
    issuer: str

    @property
    def keys(self) -> str:
        return f"{self.issuer}/.well-known/jwks.json"

    def let_tokens_live(self, seconds: int) -> None:
        (self.folder / "lifetime").write_text(str(seconds))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder, port = tmp_path_factory.mktemp("provider"), free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.access.provider", str(folder), str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + _START_SECONDS
        while b"ready" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield Provider(folder, f"http://127.0.0.1:{port}/o")
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Desk:
    """A workplace: a command line with configuration of its own, and the registry's address."""

    line: CommandLine
    environment: dict[str, str]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        process = self.line.start(*arguments, **self.environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @contextmanager
    def login(self, issuer: str) -> Iterator[tuple[dict[str, str], "subprocess.Popen[str]"]]:
        """`modelog login` under way, with what it told the person to do."""
        process = self.line.start("--json", "login", issuer, **self.environment)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process
            process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()

    def log_in(self, provider: Provider, name: str) -> None:
        with self.login(provider.issuer) as (told, process):
            Browser().answer(told["verification_uri_complete"], name, _PEOPLE[name], told["user_code"])
        assert process.returncode == 0


@pytest.fixture
async def desk(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, provider: Provider
) -> AsyncIterator[Desk]:
    settings = {"identity": "roles", "oidc_issuer": provider.issuer, "oidc_keys": provider.keys}
    async with service(
        BLUEPRINT, nats, postgres, tmp_path, schema=schema, administrators="users/ada", **settings
    ) as live:
        home = tmp_path / "home"
        home.mkdir()
        provider.let_tokens_live(600)
        environment = {"MODELOG_REGISTRY": live.running.address, "XDG_CONFIG_HOME": str(home)}
        yield Desk(CommandLine(home), environment)


async def test_who_has_logged_in_is_who_calls(desk: Desk, provider: Provider) -> None:
    before = await asyncio.to_thread(desk.run, "projects", "create", "risk")
    assert (before.returncode, "TOKEN_MISSING" in before.stderr) == (DENIED, True)
    await asyncio.to_thread(desk.log_in, provider, "ada")
    told = await asyncio.to_thread(desk.run, "--json", "whoami")
    assert json.loads(told.stdout)["principal"] == {"id": "users/ada", "authMethod": "oidc"}
    created = await asyncio.to_thread(desk.run, "projects", "create", "risk")
    assert created.returncode == 0, created.stderr
    another = await asyncio.to_thread(desk.run, "--as", "users/root", "projects", "list")
    assert (another.returncode, "ACTOR_CONTRADICTED" in another.stderr) == (DENIED, True)
    token = (await asyncio.to_thread(desk.run, "token")).stdout.strip()
    assert token.count(".") == 2
    kept = list((desk.line.folder / "modelog" / "logins").glob("*.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700
    assert (await asyncio.to_thread(desk.run, "logout")).returncode == 0
    after = await asyncio.to_thread(desk.run, "whoami")
    assert (after.returncode, "TOKEN_MISSING" in after.stderr) == (DENIED, True)


async def test_another_person_is_known_and_may_not(desk: Desk, provider: Provider) -> None:
    await asyncio.to_thread(desk.log_in, provider, "bob")
    refused = await asyncio.to_thread(desk.run, "projects", "create", "risk")
    assert (refused.returncode, "users/bob holds no role" in refused.stderr) == (DENIED, True)


async def test_an_expired_login_is_renewed_without_a_person(
    desk: Desk, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.let_tokens_live(5)
    await asyncio.to_thread(desk.log_in, provider, "ada")
    monkeypatch.setenv("XDG_CONFIG_HOME", desk.environment["XDG_CONFIG_HOME"])
    first = logins.chosen(provider.issuer)
    provider.let_tokens_live(600)
    assert (await asyncio.to_thread(desk.run, "whoami")).returncode == 0
    second = logins.chosen(provider.issuer)
    assert first is not None
    assert second is not None
    assert first.token != second.token
    assert first.refresh_token != second.refresh_token
    logins.keep(logins.Login(**{**first.__dict__, "refresh_token": "withdrawn"}))
    gone = await asyncio.to_thread(desk.run, "whoami")
    assert (gone.returncode, "modelog login" in gone.stderr) == (UNAVAILABLE, True)
    assert "withdrawn" not in gone.stderr


async def test_a_login_that_is_denied_leaves_nothing(desk: Desk, provider: Provider) -> None:
    def deny() -> tuple[int, str]:
        process = desk.line.start("--json", "login", provider.issuer, **desk.environment)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        Browser().answer(told["verification_uri"], "ada", _PEOPLE["ada"], told["user_code"], action="deny")
        return process.wait(60), process.communicate()[1]

    status, err = await asyncio.to_thread(deny)
    assert (status, "the login was refused" in err) == (FAILED, True)
    assert not list((desk.line.folder / "modelog").glob("logins/*.json"))


def test_a_provider_that_calls_itself_otherwise_is_refused(provider: Provider, tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    process = line.start("login", provider.issuer + "/", XDG_CONFIG_HOME=str(tmp_path))
    assert process.wait(60) == FAILED
    assert "calls itself" in process.communicate()[1]
    assert not list(tmp_path.iterdir())
