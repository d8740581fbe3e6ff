"""What the roles of the views' database may do, and that nothing else works: everything forbidden is tried."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kernel.postgres import create_pool, migrate, owning
from services.archive.__main__ import BLUEPRINT as ARCHIVE
from services.deployment.__main__ import BLUEPRINT as DEPLOYMENT
from services.monitoring.__main__ import BLUEPRINT as MONITORING
from services.registry.__main__ import BLUEPRINT as REGISTRY
from suite import postgres_roles
from suite.folder import replace
from suite.postgres_server import PostgresServer
from testkit.live import log_server, service

SERVICES = {one.name: one for one in (REGISTRY, DEPLOYMENT, MONITORING, ARCHIVE)}
REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError, asyncpg.UndefinedTableError)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """With the tables of all services, which their own roles made."""
    folder = tmp_path_factory.mktemp("rights")
    async with PostgresServer(folder / "postgres") as server, log_server(folder) as nats:
        for name, blueprint in SERVICES.items():
            async with service(blueprint, nats, server, folder, schema=name):
                pass
        yield server


async def run(url: str, *statements: str, query: str = "") -> Any:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
        return await connection.fetch(query) if query else None
    finally:
        await connection.close()


async def tables_of(server: PostgresServer, schema: str) -> list[str]:
    query = f"select tablename from pg_tables where schemaname = '{schema}' order by 1"
    return [row["tablename"] for row in await run(server.url, query=query)]


async def columns_of(server: PostgresServer, table: str) -> list[str]:
    query = f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"
    return [row["attname"] for row in await run(server.url, query=query)]


@pytest.mark.parametrize("name", SERVICES)
async def test_nobody_but_its_own_roles_reads_or_writes_a_service(server: PostgresServer, name: str) -> None:
    tables = [f"{schema}.{table}" for schema in (name, f"{name}_kept") for table in await tables_of(server, schema)]
    assert len(tables) > 8
    others = [role for role in postgres_roles.ROLES if not role.startswith(name)]
    for role in others:
        connection = await asyncpg.connect(server.url_for(role))
        for table in tables:
            for statement in (f"select from {table}", f"delete from {table}", f"drop table {table}"):
                with pytest.raises(REFUSED):
                    await connection.execute(statement)
        await connection.close()


@pytest.mark.parametrize("name", SERVICES)
async def test_a_reader_reads_and_a_projector_writes_and_neither_makes_tables(
    server: PostgresServer, name: str
) -> None:
    for role, may in ((f"{name}_reader", False), (f"{name}_projector", True)):
        connection = await asyncpg.connect(server.url_for(role))
        await connection.execute("set default_transaction_read_only = off")
        for table in await tables_of(server, name):
            full = f"{name}.{table}"
            column = (await columns_of(server, full))[0]
            await connection.execute(f"select from {full}")
            for statement in (f"delete from {full} where false", f"update {full} set {column} = {column} where false"):
                if may:
                    await connection.execute(statement)
                else:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            for statement in (
                f"alter table {full} add column more text",
                f"alter table {full} disable row level security",
                f"alter table {full} no force row level security",
                f"create policy mine on {full} using (true)",
                f"create index on {full} ({column})",
                f"truncate {full}",
                f"drop table {full}",
                f"grant select on {full} to public",
            ):
                if statement.startswith("grant"):
                    await connection.execute(statement)  # Postgres warns, and grants nothing.
                    continue
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        await connection.close()
    grants = "select from information_schema.role_table_grants where grantee = 'PUBLIC' and table_schema = $1"
    assert await run(server.url, query=grants.replace("$1", f"'{name}'")) == []


@pytest.mark.parametrize("role", [*postgres_roles.ROLES, "ada"])
async def test_no_role_is_a_superuser_or_becomes_another(server: PostgresServer, role: str) -> None:
    url = await admitted(server) if role == "ada" else server.url_for(role)
    connection = await asyncpg.connect(url)
    await connection.execute("set default_transaction_read_only = off")
    owner = role.endswith("_owner")
    temporary = "create temporary table mine (x int)"
    if role.endswith("_projector"):  # It compares views with what the log makes of them (decision 0049).
        await connection.execute(temporary)
    for statement in (
        "create role mine superuser",
        "alter role modelog password 'x'",
        "alter role current_user superuser",
        "alter role current_user bypassrls",
        "set role modelog",
        "set role archive_owner" if role != "archive_owner" else "set role registry_owner",
        "set session authorization modelog",
        "create schema mine" if not owner else "create schema audit",
        "create table public.mine (x int)",
        temporary if not role.endswith("_projector") else "create unlogged table registry.mine (x int)",
        "drop event trigger modelog_protect",
        "drop schema audit cascade",
        "insert into audit.project values ('ada', '*')",
        "update audit.project set project = '*'",
        "call audit.admit('ada', '*')",
        "select audit.protect(0)",
        "copy (select 1) to program 'true'",
        "select pg_read_file('postgresql.conf')",
        "select rolpassword from pg_authid",
        "alter system set ssl = off",
        "create database mine",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.DuplicateSchemaError)):
            await connection.execute(statement)
    await connection.close()


async def test_nobody_gets_in_without_the_password(server: PostgresServer) -> None:
    url = server.url_for("registry_reader")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.partition("&passfile")[0], password="wrong")
    hashes = await run(server.url, query="select rolname, rolpassword from pg_authid where rolcanlogin")
    for row in hashes:
        assert row["rolname"] == "modelog" or row["rolpassword"].startswith("SCRAM-SHA-256$")


async def test_a_password_changes_while_a_pool_uses_it(server: PostgresServer) -> None:
    role = "deployment_reader"
    pool = await create_pool(server.url_for(role), schema="deployment", name="test", size=2)
    file = server.folder / "credentials" / role
    former = file.read_text()
    replace(file, "another-password")
    await server.grant()
    assert await pool.fetchval("select 1") == 1
    await pool.expire_connections()
    assert await pool.fetchval("select 1") == 1
    pool.terminate()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url_for(role).partition("&passfile")[0], password=former)


async def admitted(server: PostgresServer, *projects: str) -> str:
    """The url of the auditor ada, who sees these projects."""
    listed = ", ".join(f"'{one}'" for one in projects or ("risk",))
    await run(
        server.url, f"call audit.admit('ada', {listed})", f"alter role ada password '{postgres_roles.verifier('ada')}'"
    )
    return server.url_for("registry_reader").partition("&passfile")[0].replace("registry_reader@", "ada:ada@")


async def fill(server: PostgresServer) -> None:
    """A row of two projects in a newest and in a history table, and in tables that name a resource otherwise."""
    statements = []
    for project in ("risk", "sales"):
        name = f"projects/{project}/models/m"
        statements += [
            f"insert into registry.model values ('{name}', '{project}', 1, '') on conflict do nothing",
            f"insert into registry.model_history values ('{name}', '{project}', 1, now(), '') on conflict do nothing",
            f"insert into registry.retired values ('{name}/versions/1') on conflict do nothing",
        ]
    await run(server.url_for("registry_projector"), *statements)
    rows = "select 'projects/' || p || '/endpoints/e', 'v', 1, p, 'x', 1, now(), 'r', 'u', '{}' from unnest($1) as p"
    interval = (
        "insert into deployment.serving_interval (endpoint, version, from_revision, project, environment, percent,"
        f" from_time, rollout, requested_by, approved_by) {rows} on conflict do nothing"
    ).replace("$1", "array['risk', 'sales']")
    await run(server.url_for("deployment_projector"), interval)


SEEN = {
    "registry.model": "split_part(name, '/', 2)",
    "registry.model_history": "split_part(name, '/', 2)",
    "registry.retired": "split_part(version, '/', 2)",
    "deployment.serving_interval": "project",
}


async def seen(url: str) -> dict[str, list[str]]:
    return {
        table: sorted(row[0] for row in await run(url, query=f"select {column} from {table}"))
        for table, column in SEEN.items()
    }


async def test_an_auditor_sees_the_rows_of_their_projects_only(server: PostgresServer) -> None:
    await fill(server)
    url = await admitted(server, "risk")
    assert set(map(tuple, (await seen(url)).values())) == {("risk",)}
    assert set(map(tuple, (await seen(await admitted(server, "none"))).values())) == {()}
    assert set(map(tuple, (await seen(await admitted(server, "*"))).values())) == {("risk", "sales")}
    assert set(map(tuple, (await seen(await admitted(server, "risk"))).values())) == {("risk",)}
    peeks = "explain select 1", "select count(*) from registry.model where 1 / (length(sort) - 5) > 0"
    for statement in peeks:  # A predicate that would fail on the other project's row is not asked of it.
        await run(url, statement)


async def test_an_auditor_changes_nothing_and_gets_around_nothing(server: PostgresServer) -> None:
    await fill(server)
    url = await admitted(server, "risk")
    before = await seen(url)
    for statement in (
        "delete from registry.model",
        "update registry.model set body = ''",
        "insert into registry.model values ('projects/risk/models/x', 'x', 1, '')",
        "set row_security = off; select from registry.model",
        "alter table registry.model disable row level security",
        "drop policy auditor on registry.model",
        "select from registry.position",
        "select from archive.tile",
        "select from monitoring_kept.reactor_position",
        "select from audit.project",
        "begin; lock table registry.model",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
            await run(url, "set default_transaction_read_only = off", *statement.split("; "))
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await run(url, "delete from registry.model")
    assert await seen(url) == before


async def test_rows_stay_hidden_from_whoever_becomes_the_group(server: PostgresServer) -> None:
    await fill(server)
    url = await admitted(server, "risk")
    connection = await asyncpg.connect(url)
    await connection.execute("set role modelog_auditor")
    rows = await connection.fetch("select split_part(name, '/', 2) from registry.model")
    await connection.close()
    assert [row[0] for row in rows] == ["risk"]


@pytest.mark.parametrize("name", SERVICES)
async def test_every_table_of_views_is_closed_to_auditors_or_shows_projects(server: PostgresServer, name: str) -> None:
    query = (
        "select relname, relrowsecurity and relforcerowsecurity as closed, exists (select from pg_policy where"
        " polrelid = c.oid and polname = 'auditor') as shown, has_table_privilege('modelog_auditor', c.oid, 'select')"
        f" as granted from pg_class c where relnamespace = '{name}'::regnamespace and relkind = 'r'"
    )
    rows = await run(server.url, query=query)
    assert all(row["closed"] for row in rows)
    assert all(row["shown"] == row["granted"] for row in rows)
    hidden = {row["relname"] for row in rows if not row["shown"]}
    assert hidden <= {"migration", "position", "tile"}


async def test_tables_that_are_dropped_and_folded_again_have_their_rights_from_birth(
    server: PostgresServer, tmp_path: Path
) -> None:
    await fill(server)
    async with owning(server.url_for("registry_owner"), schema="again") as pool:
        for anew in (False, True):
            (tmp_path / "1.sql").write_text(f"create table seen (name text, anew text default '{anew}')")
            await migrate(pool, schema="again", folder=tmp_path, anew=anew)
    statement = "insert into again.seen (name) values ('projects/risk/models/m'), ('projects/sales/models/m')"
    await run(server.url_for("registry_projector"), statement)
    reader = await create_pool(server.url_for("registry_reader"), schema="again", name="test", size=1)
    assert await reader.fetchval("select count(*) from seen") == 2
    reader.terminate()
    url = await admitted(server, "risk")
    assert [row[0] for row in await run(url, query="select name from again.seen")] == ["projects/risk/models/m"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(server.url_for("archive_reader"), "select from again.seen")


async def test_an_installation_that_ran_under_the_superuser_is_taken_over(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        await run(server.url, "create schema registry", "create table registry.model (name text)")
        await run(server.url, "insert into registry.model values ('projects/risk/models/m')")
    async with PostgresServer(tmp_path) as server:
        await run(server.url_for("registry_owner"), "alter table registry.model add column more text")
        await run(server.url_for("registry_projector"), "delete from registry.model where false")
        assert len(await run(server.url_for("registry_reader"), query="select name from registry.model")) == 1
        url = await admitted(server, "sales")
        assert await run(url, query="select name from registry.model") == []
