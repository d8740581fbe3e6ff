"""The embedded nats-server: keeps its data, its port and its secrets; refuses a second one; leaves nothing behind."""

import stat
from pathlib import Path

import nats
import pytest

from kernel import pin
from suite.folder import FolderInUse
from suite.nats_server import USERS, NatsServer
from suite.process import StartError
from suite.provision import Drift, drift, pinned, provision


async def test_what_was_acknowledged_survives_a_kill_and_a_new_run(tmp_path: Path) -> None:
    async with NatsServer(tmp_path) as server:
        await provision(server.url)
        port = server.port
        client = await nats.connect(server.url_for("registry"), reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        for number in range(20):
            await client.request("lifecycle.registry.p.models.m", b"%d" % number, timeout=2)
        await server.kill()
        await server.start()
        assert server.port == port
        await client.request("lifecycle.registry.p.models.m", b"again", timeout=10)  # The same connection, by itself.
        await client.close()
        await server.restart()
        assert server.port == port
    async with NatsServer(tmp_path) as server:
        assert await messages(server) == 21


async def messages(server: NatsServer) -> int:
    client = await nats.connect(server.url)
    try:
        return (await client.jetstream().stream_info("LIFECYCLE")).state.messages
    finally:
        await client.close()


async def test_every_user_has_a_secret_of_its_own_that_only_the_owner_reads(log_server: NatsServer) -> None:
    files = [log_server.password_file(user) for user in USERS]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o400}
    assert len({file.read_text() for file in files}) == len(USERS)
    with pytest.raises(ValueError, match="no such user"):
        log_server.url_for("nobody")


async def test_without_a_password_nobody_gets_in(log_server: NatsServer) -> None:
    for url in (log_server.address, f"nats://provision:wrong@127.0.0.1:{log_server.port}"):
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(url, allow_reconnect=False, error_cb=ignore)


async def ignore(_error: Exception) -> None:
    """What the test expects comes as the raised error too."""


async def test_a_folder_takes_one_server_and_other_folders_run_beside(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "a") as one, NatsServer(tmp_path / "b") as other:
        assert one.port != other.port
        with pytest.raises(FolderInUse, match="is in use by process"):
            await NatsServer(tmp_path / "a").__aenter__()
        assert one.process.running


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "a") as server:
        with pytest.raises(StartError, match="address already in use"):
            await NatsServer(tmp_path / "b", port=server.port).__aenter__()


async def test_streams_are_made_as_pinned_and_left_alone_when_they_are_there(log_server: NatsServer) -> None:
    await provision(log_server.url)
    client = await nats.connect(log_server.url)
    js = client.jetstream()
    try:
        await provision(log_server.url)
        info = (await js.stream_info("LIFECYCLE")).config
        assert (info.deny_delete, info.deny_purge, info.max_msg_size) == (True, True, 65536)
        with pytest.raises(nats.errors.Error):
            await js.publish("lifecycle.registry.p.models.big", b"x" * 65537)
    finally:
        await client.close()


async def test_a_stream_that_was_changed_is_noticed(tmp_path: Path) -> None:
    async with NatsServer(tmp_path) as server:
        await provision(server.url)
        client = await nats.connect(server.url)
        js = client.jetstream()
        config = (await js.stream_info("LIFECYCLE")).config
        config.max_msgs = 1_000_000
        await js.update_stream(config)
        await client.close()
        with pytest.raises(Drift, match="max_msgs: 1000000 instead of -1"):
            await provision(server.url)


async def test_how_long_access_is_on_record_is_settled_when_its_stream_is_made(tmp_path: Path) -> None:
    async with NatsServer(tmp_path) as server:
        await provision(server.url, access_days=30)
        client = await nats.connect(server.url)
        config = (await client.jetstream().stream_info("ACCESS")).config
        await client.close()
        assert config.max_age == 30 * 24 * 3600
        await provision(server.url, access_days=30)
        with pytest.raises(Drift, match="ACCESS is not as pinned: max_age"):
            await provision(server.url)


def test_drift_sees_what_was_never_pinned() -> None:
    wanted = pinned("lifecycle")
    actual = {field: value for field, value in wanted.items() if value} | {"metadata": {"_nats.ver": "2.15.1"}}
    assert drift(wanted, actual) == []
    assert drift(wanted, actual | {"republish": {"src": ">", "dest": "x.>"}}) == [
        "republish: {'src': '>', 'dest': 'x.>'} instead of None"
    ]
    assert drift(wanted, actual | {"deny_purge": False}) == ["deny_purge: False instead of True"]
    assert drift(pinned("lifecycle", replicas=3), actual) == ["num_replicas: 1 instead of 3"]


def test_the_kernel_agrees_with_what_is_pinned() -> None:
    """The kernel alarms on drift by a list of its own; the file that streams are made from must satisfy it."""
    assert list(pin.drift(pinned("lifecycle"))) == []
    assert list(pin.drift(pinned("telemetry"))) != []
