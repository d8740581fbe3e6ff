"""The embedded Postgres: quick, private, survives kills, runs several times over and in awkward folders."""

import asyncio
import os
import stat
from pathlib import Path

import asyncpg
import pytest

from suite.folder import FolderInUse
from suite.postgres_server import PostgresServer


async def value(server: PostgresServer, query: str) -> object:
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_is_set_for_a_laptop_and_keeps_its_promises_to_the_disk(postgres: PostgresServer) -> None:
    for setting, wanted in {
        "fsync": "on",
        "full_page_writes": "on",
        "shared_buffers": "64MB",
        "max_connections": "100",
        "listen_addresses": "",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }.items():
        assert await value(postgres, f"show {setting}") == wanted
    assert await value(postgres, "select current_database()") == "modelog"


async def test_the_socket_is_closed_to_others(postgres: PostgresServer) -> None:
    folder = Path(postgres.url.rpartition("host=")[2])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_committed_rows_survive_a_kill_and_a_new_run(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        url = server.url
        connection = await asyncpg.connect(url)
        await connection.execute("create table t (x int)")
        await connection.execute("insert into t values (1)")
        await server.kill()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("insert into t values (2)")
        await server.start()
        assert server.url == url
        assert await value(server, "select count(*) from t") == 1
        await server.restart()
    async with PostgresServer(tmp_path) as server:
        assert await value(server, "select count(*) from t") == 1


async def test_open_connections_do_not_hold_up_its_stop(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("begin")
        async with asyncio.timeout(5):
            await server.stop()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("select 1")


@pytest.mark.parametrize("folder", ["d" * 120, "with space, comma & é"])
async def test_folders_that_no_socket_could_live_in_work(folder: str, tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / folder) as server:
        sockets = Path(server.url.rpartition("host=")[2])
        assert await value(server, "select 1") == 1
    assert not sockets.exists()


async def test_several_run_side_by_side_and_one_folder_takes_one(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path / "a") as one, PostgresServer(tmp_path / "b") as other:
        assert await value(one, "select 1") == await value(other, "select 1") == 1
        assert one.url != other.url
        with pytest.raises(FolderInUse):
            await PostgresServer(tmp_path / "a").__aenter__()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has a folder that nobody else may enter and Postgres may not be root"
)
async def test_root_can_keep_it_in_a_folder_only_root_may_enter(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    async with PostgresServer(private / "postgres") as server:
        assert await value(server, "select 1") == 1
        owner = Path(f"/proc/{server.process.pid}").stat().st_uid
    assert owner != 0
