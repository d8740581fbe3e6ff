"""The doors under TLS: who gets in, and that certificates change under load without a call failing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest

from kernel.logs import structlog
from kernel.tls import ServerTls
from suite.certificates import Authority, Pair, name_of
from suite.folder import free_port
from suite.health import serving
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.kernel.toy import TOYS, M


@dataclass
class Files:
    """What the service reads, and what changes while it runs."""

    folder: Path

    def give(self, pair: Pair) -> None:
        pair.write(self.folder, "tls")

    def believe(self, *authorities: Authority) -> None:
        new = self.folder / "clients.new"
        new.write_text("".join(one.certificate for one in authorities))
        new.replace(self.folder / "clients.crt")

    def settings(self) -> dict[str, str]:
        return {
            "tls_certificate_file": str(self.folder / "tls.crt"),
            "tls_key_file": str(self.folder / "tls.key"),
            "tls_client_ca_file": str(self.folder / "clients.crt"),
        }


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> Files:
    files = Files(tmp_path / "tls")
    files.give(server_pair(authority))
    files.believe(authority)
    return files


def server_pair(authority: Authority) -> Pair:
    return authority.issue("registry", hosts=["127.0.0.1"], uris=[name_of("registry")])


@asynccontextmanager
async def open_service(
    files: Files, nats: NatsServer, postgres: PostgresServer, folder: Path, schema: str
) -> AsyncIterator[tuple[str, str]]:
    """The addresses of its two doors: for tokens, and for certificates."""
    mutual = f"127.0.0.1:{free_port()}"
    settings = files.settings() | {"mutual_listen": mutual}
    async with service(TOYS, nats, postgres, folder, schema=schema, **settings) as live:
        yield live.running.address, mutual


async def call(address: str, *believed: Authority, shows: Pair | None = None) -> grpc.StatusCode:
    """Over a connection of its own, so that each call shakes hands; NOT_FOUND is what the service itself answers."""
    credentials = grpc.ssl_channel_credentials(
        "".join(one.certificate for one in believed).encode(),
        shows.key.encode() if shows else None,
        shows.certificate.encode() if shows else None,
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        get: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/modelog.registry.toy.ToyService/GetToy"
        )
        try:
            await get(M.GetToyRequest(name="projects/p/toys/none").SerializeToString(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def test_who_gets_in(
    files: Files, authority: Authority, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    wrong = Authority.new("wrong")
    mine = authority.issue("deployment", uris=[name_of("deployment")])
    late = authority.issue("deployment", uris=[name_of("deployment")], days=-0.001)
    async with open_service(files, nats, postgres, tmp_path, schema) as (door, mutual):
        assert await call(door, authority) == grpc.StatusCode.NOT_FOUND
        assert await call(mutual, authority, shows=mine) == grpc.StatusCode.NOT_FOUND
        assert await serving(door, ca_file=str(files.folder / "clients.crt"))
        assert not await serving(door)
        assert await call(door, wrong) == grpc.StatusCode.UNAVAILABLE
        assert await call(mutual, authority) == grpc.StatusCode.UNAVAILABLE
        assert await call(mutual, authority, shows=wrong.issue("deployment")) == grpc.StatusCode.UNAVAILABLE
        assert await call(mutual, authority, shows=late) == grpc.StatusCode.UNAVAILABLE
        for address in (door, mutual):
            async with grpc.aio.insecure_channel(address) as channel:
                get: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/any/Call")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await get(b"", timeout=5)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_new_authority_takes_over_under_load(
    files: Files, authority: Authority, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    present = Authority.new("present")
    former_pair, pair = authority.issue("deployment"), present.issue("deployment")
    shown = former_pair
    answers: list[grpc.StatusCode] = []

    async def load(mutual: str) -> None:
        while True:
            answers.append(await call(mutual, authority, present, shows=shown))

    async def more() -> None:
        wanted = len(answers) + 20
        async with asyncio.timeout(30):
            while len(answers) < wanted:
                await asyncio.sleep(0.01)

    async with open_service(files, nats, postgres, tmp_path, schema) as (_, mutual):
        tasks = [asyncio.create_task(load(mutual)) for _ in range(4)]
        await more()
        files.believe(authority, present)
        files.give(server_pair(present))
        await more()
        assert await call(mutual, present, shows=former_pair) == grpc.StatusCode.NOT_FOUND
        shown = pair
        await more()
        files.believe(present)
        await more()
        assert await call(mutual, present, shows=former_pair) == grpc.StatusCode.UNAVAILABLE
        for task in tasks:
            assert not task.done()
            task.cancel()
    assert set(answers) == {grpc.StatusCode.NOT_FOUND}


async def test_files_that_do_not_fit_together_change_nothing_and_are_told(
    files: Files, authority: Authority, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    strange = authority.issue("registry", hosts=["127.0.0.1"])
    async with open_service(files, nats, postgres, tmp_path, schema) as (door, _):
        with structlog.testing.capture_logs() as logs:
            for key in (strange.key, "no key", ""):
                (files.folder / "tls.key").unlink()
                (files.folder / "tls.key").write_text(key)
                assert await call(door, authority) == grpc.StatusCode.NOT_FOUND
            (files.folder / "tls.key").unlink()
            assert await call(door, authority) == grpc.StatusCode.NOT_FOUND
            assert {(one["event"], one["log_level"]) for one in logs} == {("certificates_not_taken", "critical")}
            files.give(strange)
            assert await call(door, authority) == grpc.StatusCode.NOT_FOUND
            assert logs[-1]["event"] == "certificates_taken"


async def test_beyond_loopback_nobody_listens_in(
    files: Files, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    for settings, told in (
        ({"identity": "roles"}, "TLS_CERTIFICATE_FILE"),
        ({"identity": "roles", "development_anywhere": True}, "TLS_CERTIFICATE_FILE"),
        (files.settings(), "loopback"),
        ({"mutual_listen": "127.0.0.1:0", "listen": "127.0.0.1:0"}, "MUTUAL_LISTEN needs"),
        (files.settings() | {"tls_key_file": "/nowhere", "listen": "127.0.0.1:0"}, "TLS_CERTIFICATE_FILE"),
    ):
        with pytest.raises(SystemExit, match=told):
            async with service(TOYS, nats, postgres, tmp_path, schema=schema, **{"listen": "0.0.0.0:0", **settings}):
                pass


def test_a_service_does_not_start_with_a_key_of_another_certificate(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = server_pair(authority).write(tmp_path, "one")
    _, key = server_pair(authority).write(tmp_path, "other")
    with pytest.raises(SystemExit, match="TLS_CERTIFICATE_FILE"):
        ServerTls(str(certificate), str(key))
