"""Passwords and certificates of the log's server change while services use it: no call fails, nothing is restarted."""

import asyncio
import dataclasses
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import nats
import nats.errors
import pytest

from kernel.jetstream import JetStreamLog, connect
from kernel.receiving import Receiver
from kernel.tls import ClientTls
from suite.certificates import Authority
from suite.folder import replace
from suite.log_rights import API_PREFIX, ServerTls
from suite.nats_server import NatsServer
from suite.provision import provision

LIBS = Path(__file__).parents[2] / "libs"


async def client_of(server: NatsServer, tls: ClientTls | None = None) -> Receiver:
    file = server.password_file("registry")
    return await connect(
        server.address, name="test", user="registry", password=lambda: file.read_text().strip(), tls=tls
    )


async def ignore(_error: Exception) -> None:
    """What the test expects comes as the raised error too."""


async def gets_in(server: NatsServer, tls: ClientTls | None) -> bool:
    """A client of ours tries for ever; the server is on this machine, so a second tells."""
    attempt = asyncio.create_task(client_of(server, tls))
    if (await asyncio.wait([attempt], timeout=1))[0]:
        await attempt.result().close()
        return True
    # Python before 3.12 loses a cancellation that comes just as the wait within ends, so one may not be enough.
    while not attempt.done():
        attempt.cancel()
        await asyncio.wait([attempt], timeout=0.1)
    return False


async def append_for_ever(log: JetStreamLog, done: list[int]) -> None:
    prefix = secrets.token_hex(4)
    while True:
        number = len(done)
        subject = f"lifecycle.registry.p.things.{prefix}-{number}"
        done.append(await log.append(subject, b"x", expected=0, fact_id=f"{prefix}-{number}", event="toy"))


async def follow(log: JetStreamLog, seen: list[int]) -> None:
    async for entries in log.follow(0):
        seen += [entry.revision for entry in entries]


async def more(done: list[int], count: int = 20) -> None:
    """Until so many further appends were acknowledged."""
    wanted = len(done) + count
    async with asyncio.timeout(15):
        while len(done) < wanted:
            await asyncio.sleep(0.01)


async def reconnected(client: Receiver, before: int) -> None:
    async with asyncio.timeout(15):
        while client.stats["reconnects"] == before:
            await asyncio.sleep(0.01)


async def test_a_password_changes_under_load_and_the_former_one_is_worth_nothing(tmp_path: Path) -> None:
    async with NatsServer(tmp_path) as server:
        await provision(server.url)
        client = await client_of(server)
        log = JetStreamLog(client, api_prefix=API_PREFIX)
        done: list[int] = []
        seen: list[int] = []
        tasks = [asyncio.create_task(append_for_ever(log, done)), asyncio.create_task(follow(log, seen))]
        try:
            for _ in range(3):
                await more(done)
                former, reconnects = server.password_file("registry").read_text().strip(), client.stats["reconnects"]
                replace(server.password_file("registry"), "s" + secrets.token_hex(24))
                server.reload()
                await reconnected(client, reconnects)
                with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
                    await nats.connect(
                        server.address, user="registry", password=former, allow_reconnect=False, error_cb=ignore
                    )
            await more(done)
            assert not any(task.done() for task in tasks)
            async with asyncio.timeout(20):
                while len(seen) < done[-1]:
                    await asyncio.sleep(0.01)
            assert seen == list(range(1, len(seen) + 1))
        finally:
            for task in tasks:
                task.cancel()
            await client.close()


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[NatsServer, Authority]]:
    authority = Authority.new()
    tls = write(authority, authority, tmp_path)
    async with NatsServer(tmp_path / "nats", tls=tls) as server:
        yield server, authority


def write(authority: Authority, clients: Authority, folder: Path) -> ServerTls:
    """The server's certificate of one authority, asking for certificates of another one."""
    certificate, key = authority.issue("nats", hosts=["127.0.0.1"]).write(folder, "server")
    believed = folder / "clients.crt"
    believed.write_text(clients.certificate)
    return ServerTls(str(certificate), str(key), str(believed), verify=True)


def shown(authority: Authority, folder: Path, believes: Authority) -> ClientTls:
    certificate, key = authority.issue("registry").write(folder, "client")
    ca = folder / "authority.crt"
    ca.write_text(believes.certificate)
    return ClientTls(str(ca), str(certificate), str(key))


async def test_who_believes_another_authority_or_shows_none_gets_in_nowhere(
    secure: tuple[NatsServer, Authority], tmp_path: Path
) -> None:
    server, authority = secure
    good = shown(authority, tmp_path / "good", authority)
    client = await client_of(server, good)
    await client.flush()
    await client.close()
    wrong = Authority.new("wrong")
    for tls in (
        None,
        ClientTls(good.ca_file),
        shown(wrong, tmp_path / "strange", authority),
        shown(authority, tmp_path / "believing", wrong),
    ):
        assert not await gets_in(server, tls)


async def test_who_wants_tls_sends_no_password_to_a_server_without(tmp_path: Path) -> None:
    authority = Authority.new()
    async with NatsServer(tmp_path / "nats") as server:
        assert not await gets_in(server, shown(authority, tmp_path / "client", authority))


async def test_the_streams_are_made_over_tls_by_a_job_that_has_files_only(tmp_path: Path) -> None:
    authority = Authority.new()
    tls = dataclasses.replace(write(authority, authority, tmp_path), verify=False)
    async with NatsServer(tmp_path / "nats", tls=tls) as server:
        folder = server.password_file("provision").parent
        (folder / "nats").write_text(server.password_file("provision").read_text())
        (folder / "ca.crt").write_text(authority.certificate)
        job = [sys.executable, "-m", "suite.provision", server.address.replace("//", "//provision@"), str(folder)]
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(*job, cwd=LIBS)
            assert await process.wait() == 0
        client = await client_of(server, ClientTls(str(folder / "ca.crt")))
        assert await JetStreamLog(client, api_prefix=API_PREFIX).head() == 0
        await client.close()


async def test_certificates_of_a_new_authority_are_taken_up_by_both_sides(
    secure: tuple[NatsServer, Authority], tmp_path: Path
) -> None:
    server, former = secure
    client = await client_of(server, shown(former, tmp_path / "client", former))
    present = Authority.new("present")
    write(present, present, tmp_path)
    shown(present, tmp_path / "client", present)
    server.reload()
    with suppress(nats.errors.Error):
        await client.force_reconnect()
    await reconnected(client, 0)
    await client.flush()
    assert not await gets_in(server, shown(former, tmp_path / "late", present))
    assert await gets_in(server, shown(present, tmp_path / "present", present))
    await client.close()
