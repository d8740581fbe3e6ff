"""No secret leaves its file: not into an environment, an argument, a log, a metric, a reply, a fact or a table."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import grpc
import grpc.aio
import nats
import psutil
import pytest

from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import registry_service_pb2_grpc
from modelog.status.v1 import status_service_pb2, status_service_pb2_grpc
from suite.folder import replace
from suite.log_rights import USERS
from suite.postgres_roles import ROLES
from suite.suite import SERVICES, Suite

TOKEN = "canary-token-0123456789abcdef"
# Said openly, and looked for in the same way: so that a search that finds no secret is known to find something.
ACTOR = "users/canary-in-the-open"
OPEN = (ACTOR.encode(), b"MODELOG_NATS_PASSWORD_FILE=", b"ACTOR_FORMAT", b"python_info", b"nats-server")


def plant(folder: Path) -> dict[str, str]:
    """A password of each user of the log and each role of the views, before anything starts; by name."""
    planted = {}
    for part, names in (("nats", USERS), ("postgres", ROLES)):
        for name in names:
            path = folder / part / "credentials" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            planted[f"{part} {name}"] = f"canary-{part}-{name}-0123456789abcdef"
            replace(path, planted[f"{part} {name}"])
    return planted


def processes() -> Iterator[tuple[str, bytes]]:
    """Environment and arguments of everything this test has started."""
    for child in psutil.Process().children(recursive=True):
        for name in ("environ", "cmdline"):
            path = Path(f"/proc/{child.pid}/{name}")
            try:
                yield f"{name} of {child.name()}", path.read_bytes()
            except (OSError, psutil.NoSuchProcess):
                continue


async def call(suite: Suite) -> None:
    """A call that records a fact, one that is refused, and one that fails, all with the token."""
    metadata = (("authorization", f"Bearer {TOKEN}"), ("x-modelog-actor", ACTOR))
    async with grpc.aio.insecure_channel(suite.address("registry")) as channel:
        registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        await registry.CreateProject(rpc.CreateProjectRequest(project_id="p", title="P"), metadata=metadata)
        for request in (rpc.CreateProjectRequest(project_id="Not An Id"), rpc.CreateProjectRequest(project_id="p")):
            with pytest.raises(grpc.aio.AioRpcError):
                await registry.CreateProject(request, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await registry.CreateProject(
                rpc.CreateProjectRequest(project_id="q", title="Q"), metadata=(*metadata[:1], ("x-modelog-actor", "?"))
            )


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return bytes(reply.read())


async def replies(suite: Suite) -> Iterator[tuple[str, bytes]]:
    """What every service says of itself: status, health, metrics."""
    found = []
    described = json.loads((suite.folder / "suite.json").read_text())
    for name, address in suite.addresses.items():
        async with grpc.aio.insecure_channel(address) as channel:
            status = status_service_pb2_grpc.StatusServiceStub(channel)
            found.append(
                (f"status of {name}", str(await status.GetStatus(status_service_pb2.GetStatusRequest())).encode())
            )
        for page in ("metrics", "readyz", "livez"):
            url = f"http://{described['services'][name]['admin_address']}/{page}"
            found.append((f"{page} of {name}", await asyncio.to_thread(read, url)))
    found.append(("suite.json", (suite.folder / "suite.json").read_bytes()))
    return iter(found)


async def facts(suite: Suite) -> Iterator[tuple[str, bytes]]:
    client = await nats.connect(suite.nats.url)
    js = client.jetstream()
    found = []
    for stream in ("LIFECYCLE", "ACCESS", "TELEMETRY"):
        for number in range(1, (await js.stream_info(stream)).state.last_seq + 1):
            message = await js.get_msg(stream, number)
            found.append((f"{stream} {number}", (message.data or b"") + repr(message.headers).encode()))
    await client.close()
    return iter(found)


async def rows(suite: Suite) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, with bytes as they are."""
    connection = await asyncpg.connect(suite.postgres.url)
    query = "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
    found = []
    for schema, table in await connection.fetch(query):
        for row in await connection.fetch(f'select * from "{schema}"."{table}"'):
            values = [value if isinstance(value, bytes) else str(value).encode() for value in row]
            found.append((f"{schema}.{table}", b"\0".join(values)))
    await connection.close()
    return iter(found)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What the services and servers keep and print, except where secrets live; those their owner reads alone."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if not path.is_file() or inside[:2] in (("postgres", "data"), ("nats", "store")):
            continue  # Both are looked into by asking the server.
        if "credentials" in inside or path.suffix == ".key":
            assert path.stat().st_mode & 0o077 == 0, path
        else:
            yield str(Path(*inside)), path.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into processes by /proc")
async def test_no_canary_is_found_outside_of_its_file(tmp_path: Path) -> None:
    planted = plant(tmp_path) | {"token": TOKEN}
    async with Suite(tmp_path, settings={"log_level": "debug"}) as suite:
        await call(suite)
        keys = [path.read_text() for path in tmp_path.rglob("*.key")]
        assert keys  # The notary's.
        planted |= {
            f"key {n}": line for n, text in enumerate(keys) for line in text.splitlines()[1:-1] if len(line) > 8
        }
        open_places = set()
        for where, content in (
            *processes(),
            *await replies(suite),
            *await facts(suite),
            *await rows(suite),
            *files(tmp_path),
        ):
            for name, canary in planted.items():
                assert canary.encode() not in content, f"{name} in {where}"
            if any(one in content for one in OPEN):
                open_places.add(where.split()[0])
        assert len(suite.addresses) == len(SERVICES)
    assert {"LIFECYCLE", "ACCESS", "archive.entry", "environ", "cmdline", "metrics"} <= open_places
