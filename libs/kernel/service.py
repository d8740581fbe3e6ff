"""Puts a service together from its blueprint and runs it until SIGTERM."""

import asyncio
import functools
import gc
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kernel import listening, reactor, telemetry
from kernel.access_log import AccessLog, Journal
from kernel.active import Role, stay_active
from kernel.admin import Admin
from kernel.comparing import Comparing
from kernel.connections import MOST_CALLS, options, rates
from kernel.fence import Fence
from kernel.guard import refuse_pickles
from kernel.identity import Authority, Development
from kernel.jetstream import JetStreamLog, connect
from kernel.known import KnownIds
from kernel.limits import Limits
from kernel.logs import structlog
from kernel.pin import drift
from kernel.position import Position
from kernel.postgres import create_pool
from kernel.projector import Projector
from kernel.requests import Requests
from kernel.resources import Resources
from kernel.rooms import Blueprint, Controller, Rooms, now
from kernel.rpc import Door
from kernel.settings import Settings, exports_traces, load
from kernel.state_servicer import StateServicer
from kernel.states import States
from kernel.status_servicer import StatusServicer
from kernel.tasks import end
from kernel.texts import Texts
from kernel.transact import Transact
from kernel.views import prepare
from modelog.state.v1 import state_service_pb2
from modelog.status.v1 import status_service_pb2

_log = structlog.get_logger()
_WATCH_SECONDS = 1.0
_PIN_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Running:
    """A started service: where its doors are, and its insides for tests and tools."""

    address: str
    admin_address: str
    rooms: Rooms
    projector: Projector
    health: health.aio.HealthServicer
    drift: list[str]


@asynccontextmanager
async def running(blueprint: Blueprint, settings: Settings) -> AsyncIterator[Running]:
    """The service, serving; drained and closed on exit."""
    schema = settings.schema or blueprint.name
    async with AsyncExitStack() as stack:
        rooms, states, known, fold = await _open(stack, blueprint, settings, schema)
        comparing = Comparing(blueprint, settings, schema, fold, rooms.log, rooms.kept, rooms.clock)
        fence = Fence(settings.postgres_url, f"modelog/{schema}")
        writing = await create_pool(settings.postgres_url, schema=schema, name=f"modelog-{blueprint.name}-fold", size=2)
        stack.callback(writing.terminate)
        projector = Projector(
            service=blueprint.name,
            schema=schema,
            kinds=blueprint.kinds,
            log=rooms.log,
            pool=writing,
            position=rooms.position,
            states=states,
            known=known,
            project=blueprint.project,
            projected=blueprint.projected,
            raw=blueprint.raw,
            searchables=blueprint.searchables,
        )
        if blueprint.lifespan is not None:
            await stack.enter_async_context(asynccontextmanager(blueprint.lifespan)(rooms))
        background = await stack.enter_async_context(_Background(rooms.position))
        background.start(rooms.position.listen_for_ever(rooms.pool, schema))
        roles = _roles(blueprint, rooms, projector, comparing)
        if roles:
            background.start(
                stay_active(fence, roles, rooms.position, (states.unmaintained, known.drop, rooms.position.unfollowed))
            )
        checks = health.aio.HealthServicer()
        differences: list[str] = []
        server, port = await _serve(stack, blueprint, settings, rooms, comparing, checks, differences)
        background.start(_watch(rooms, checks, blueprint.name, differences))
        admin = await stack.enter_async_context(Admin(settings.admin_listen, rooms.position, rooms.pool))
        address = f"{settings.listen.rpartition(':')[0]}:{port}"
        _log.info("serving", address=address, admin=admin.address, roles=settings.roles)
        yield Running(address, admin.address, rooms, projector, checks, differences)
        await checks.enter_graceful_shutdown()
        await server.stop(settings.drain_seconds)


async def _open(
    stack: AsyncExitStack, blueprint: Blueprint, settings: Settings, schema: str
) -> tuple[Rooms, States, KnownIds, str]:
    client = await connect(
        settings.nats_url,
        name=blueprint.name,
        user=settings.nats_user,
        password=settings.nats_password,
        tls=settings.nats_tls,
    )
    stack.push_async_callback(client.close)
    log = JetStreamLog(client, api_prefix=settings.nats_api_prefix)
    fold = await prepare(log, blueprint, settings, schema)
    reader = settings.postgres_reader_url or settings.postgres_url
    pool = await create_pool(reader, schema=schema, name=f"modelog-{blueprint.name}")
    stack.callback(pool.terminate)
    kept = await create_pool(
        settings.postgres_url, schema=f"{schema}_kept", name=f"modelog-{blueprint.name}-kept", size=4
    )
    stack.callback(kept.terminate)
    position = Position()
    states, known = States(log, pool), KnownIds()
    texts = Texts(client, blueprint.name, api_prefix=settings.nats_api_prefix)
    transact = Transact(log, states, Requests(pool, blueprint.name, known), texts.hidden)
    resources = Resources(pool, log, position, blueprint.searchables)
    return (
        Rooms(transact, resources, states, pool, kept, log, client, position, settings, now, texts),
        states,
        known,
        fold,
    )


def _roles(blueprint: Blueprint, rooms: Rooms, projector: Projector, comparing: Comparing) -> Sequence[Role]:
    roles: list[Role] = []
    settings: Settings = rooms.settings
    if settings.has_role("projector"):
        roles += [("projector", projector.run), ("comparing", comparing.run)]
    if settings.has_role("reactor") and blueprint.reactions is not None:
        reacting = reactor.Reactor(
            service=blueprint.name,
            log=rooms.log,
            kept=rooms.kept,
            position=rooms.position,
            reactions=blueprint.reactions(rooms),
            clock=rooms.clock,
        )
        roles.append(("reactor", reacting.run))
    if settings.has_role("controller") and blueprint.controllers is not None:
        roles.extend(
            (getattr(run, "__qualname__", "controller"), functools.partial(_caught_up, rooms, run))
            for run in blueprint.controllers(rooms)
        )
    return roles


async def _caught_up(rooms: Rooms, run: Controller) -> None:
    """Runs a controller once the views hold what the log holds: it acts on what it sees, and on views that are being
    folded again it would see things that are long gone, and miss what is there."""
    await rooms.resources.catch_up()
    await run()


async def _serve(
    stack: AsyncExitStack,
    blueprint: Blueprint,
    settings: Settings,
    rooms: Rooms,
    comparing: Comparing,
    checks: Any,
    differences: list[str],
) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=options(settings), maximum_concurrent_rpcs=MOST_CALLS)
    journal = Journal(AccessLog(rooms.nats, blueprint.name), blueprint.name, rooms.clock)
    door = Door(
        _authority(settings, blueprint, rooms), rooms.clock, journal, Limits(rates(settings)), texts=rooms.texts
    )
    status = StatusServicer(
        blueprint.name, rooms.pool, rooms.log, rooms.position, rooms.clock(), lambda: list(differences), comparing
    )
    doors: list[tuple[Any, Any]] = [(status_service_pb2.DESCRIPTOR.services_by_name["StatusService"], status)]
    if settings.has_role("rpc"):
        states = StateServicer(blueprint.name, blueprint.kinds, rooms.resources)
        doors.append((state_service_pb2.DESCRIPTOR.services_by_name["StateService"], states))
        doors.extend(blueprint.doors(rooms))
    server.add_generic_rpc_handlers([door.handler(descriptor, servicer) for descriptor, servicer in doors])
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if settings.reflection:
        names = [descriptor.full_name for descriptor, _ in doors]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    await _report(rooms, checks, blueprint.name, differences)
    port = listening.listen(server, settings)
    await server.start()
    stack.push_async_callback(server.stop, None)
    return server, port


def _authority(settings: Settings, blueprint: Blueprint, rooms: Rooms) -> Authority:
    listening.check(settings)
    if settings.identity == "roles" and blueprint.authority is not None:
        return blueprint.authority(rooms)
    if settings.identity != "development":
        raise SystemExit(f"MODELOG_IDENTITY: {settings.identity!r} is unknown; say roles or development")
    return Development()


async def _watch(rooms: Rooms, checks: Any, service: str, differences: list[str]) -> None:
    """Turns what is wrong into health, for ever."""
    rounds = 0
    while True:
        if rounds % _PIN_ROUNDS == 0:
            with suppress(Exception):  # Unreachable stores show in their own calls; this task only reports.
                differences[:] = drift(await rooms.log.configuration())
                for difference in differences:
                    _log.critical("log_configuration_drifted", difference=difference)
        await _report(rooms, checks, service, differences)
        rounds += 1
        await asyncio.sleep(_WATCH_SECONDS)


async def _report(rooms: Rooms, checks: Any, service: str, differences: Sequence[str]) -> None:
    """Health of the service itself, of `quarantine` and of `log`."""
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    halted = bool(rooms.position.halted)
    frozen = 0
    with suppress(Exception):
        frozen = await rooms.resources.frozen()
    telemetry.QUARANTINED.set(frozen)
    telemetry.POSITION.set(rooms.position.revision)
    await checks.set("", not_serving if halted else serving)
    await checks.set(service, not_serving if halted else serving)
    await checks.set("quarantine", not_serving if frozen else serving)
    await checks.set("log", not_serving if halted or differences else serving)


class _Background:
    """Tasks that live as long as the service; one that dies of an error halts the views, which health tells."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def __aenter__(self) -> "_Background":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await end(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.critical("background_task_died", error=repr(error), exc_info=error)
            self._position.halt(repr(error))


def _settle_memory() -> None:
    """What is loaded by now stays: collecting garbage need not look at it again, nor so often at short-lived calls."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def run(blueprint: Blueprint) -> None:
    """The main of every service process: serves until SIGTERM or SIGINT."""
    settings = load(blueprint.settings)
    refuse_pickles()
    telemetry.configure(
        blueprint.name, level=settings.log_level, trace_share=settings.trace_share, export=exports_traces()
    )

    async def main() -> None:
        stopped = asyncio.Event()
        for one in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(one, stopped.set)
        async with running(blueprint, settings):
            await stopped.wait()

    if sys.platform != "win32":
        import uvloop

        _settle_memory()
        uvloop.run(main())
    else:
        asyncio.run(main())
