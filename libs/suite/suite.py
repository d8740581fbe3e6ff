"""The whole of modelog on one machine: `async with Suite(folder) as suite: suite.address("registry")`.

    folder/nats/  folder/postgres/            data of the two servers; kept from run to run
    folder/services/<name>/                   files of one service
    folder/artifacts/                         content-addressed files all services share
    folder/issuer/                            the key that tokens are signed with, and what verifies them
    folder/logs/<name>.log                    what each child prints
    folder/suite.json                         while it runs: addresses and process ids, for the command line to find

One suite a folder; others run beside it in folders of their own.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.folder import Lock
from suite.issuer import Issuer
from suite.nats_server import API_PREFIX, NatsServer
from suite.postgres_server import PostgresServer
from suite.provision import provision
from suite.service_process import ServiceProcess
from suite.supervisor import Keeper

_DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Member:
    """A service of the suite: its module, and settings beyond what every service gets."""

    module: str
    settings: Mapping[str, str] = field(default_factory=dict)


SERVICES: Mapping[str, Member] = {
    "registry": Member("services.registry"),
    # What serves outlives a crash of deployment, but not an orderly stop: here nobody would upgrade it under load.
    "deployment": Member("services.deployment", {"outlive": "false"}),
    "monitoring": Member("services.monitoring"),
    "archive": Member("services.archive"),
}


def _silent(_name: str, _what: str) -> None:
    """Nobody watches."""


class Suite:
    """NATS, Postgres and the services, started in this order, kept running, and stopped in the opposite one."""

    def __init__(
        self,
        folder: Path,
        *,
        services: Mapping[str, Member] = SERVICES,
        settings: Mapping[str, str] | None = None,
        identity: str = "development",
        administrators: Sequence[str] = (),
        say: Callable[[str, str], None] = _silent,
    ) -> None:
        """`settings` go to every service. `say(name, what happened)` hears of each start, stop and crash.

        identity: `roles` asks callers for tokens of this suite's own issuer, and for roles, which `administrators`
        grant; `development` believes what they say of themselves.
        """
        self.folder = folder.resolve()
        logs = self.folder / "logs"
        self.nats = NatsServer(self.folder / "nats", log=logs / "nats.log")
        self.postgres = PostgresServer(self.folder / "postgres", log=logs / "postgres.log")
        self._members = services
        self._settings = dict(settings or {})
        self._identity = identity
        self._administrators = ",".join(administrators)
        self._say = say
        self.issuer = Issuer(self.folder / "issuer")
        self._lock = Lock(self.folder)
        self._stack = AsyncExitStack()
        self._services: dict[str, ServiceProcess] = {}
        self._keepers: dict[str, Keeper] = {}

    async def __aenter__(self) -> "Suite":
        """Returns when everything serves. FolderInUse for a second suite, StartError when a part does not come up."""
        try:
            self._lock.acquire()
            self._stack.callback(self._lock.release)
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        self._stack.callback(self._description.unlink, missing_ok=True)
        self.issuer.open()
        await self._stack.enter_async_context(self.nats)
        await provision(self.nats.url)
        await self._stack.enter_async_context(self.postgres)
        for name, server in (("nats", self.nats), ("postgres", self.postgres)):
            keeper = self._keepers[name] = Keeper(name, server, changed=self._changed)
            keeper.keep()
            self._stack.push_async_callback(keeper.stop)
        self._stack.push_async_callback(self._stop_services)
        for name, member in self._members.items():
            service = self._services[name] = self._service(name, member)
            self._keepers[name] = Keeper(name, service, changed=self._changed)
        await _all(keeper.start() for name, keeper in self._keepers.items() if name in self._services)

    async def _stop_services(self) -> None:
        await _all(self._keepers[name].stop() for name in self._services)
        for name in self._services:  # Whatever was told to outlive its service ends with the suite.
            (self.folder / "services" / name / "lease").unlink(missing_ok=True)

    def _service(self, name: str, member: Member) -> ServiceProcess:
        folder = self.folder / "services" / name
        settings = {
            "nats_url": self.nats.address,
            "nats_user": name,
            "nats_password_file": str(self.nats.password_file(name)),
            "nats_api_prefix": API_PREFIX,
            **self.postgres.urls_of(name),
            "schema": name,
            "data_dir": str(folder),
            "artifacts_dir": str(self.folder / "artifacts"),
            "identity": self._identity,
            "administrators": self._administrators,
            **(self.issuer.settings() if self._identity == "roles" else {}),
            "drain_seconds": str(_DRAIN_SECONDS),
        }
        return ServiceProcess(
            name,
            member.module,
            settings=settings | self._settings | dict(member.settings),
            folder=folder,
            log=self.folder / "logs" / f"{name}.log",
            drain_seconds=_DRAIN_SECONDS,
        )

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service's gRPC is, `host:port` by name."""
        return {name: service.address for name, service in self._services.items()}

    def address(self, service: str) -> str:
        return self._services[service].address

    def keeper(self, part: str) -> Keeper:
        """`nats`, `postgres` or a service; KeyError for anything else."""
        return self._keepers[part]

    async def kill(self, part: str) -> None:
        """Crashes a part with SIGKILL; it comes back by itself, see `ready`."""
        await self._keepers[part].kill()

    async def ready(self, part: str) -> None:
        """Waits until a part is up (again)."""
        await self._keepers[part].ready()

    async def restart(self, part: str) -> None:
        await self._keepers[part].restart()

    async def stop(self, part: str) -> None:
        """Stops a part in order; it stays away until `start`."""
        await self._keepers[part].stop()

    async def start(self, part: str) -> None:
        await self._keepers[part].start()

    @property
    def _description(self) -> Path:
        return self.folder / "suite.json"

    def _changed(self, name: str, what: str) -> None:
        self._say(name, what)
        description: dict[str, Any] = {
            "pid": os.getpid(),
            "nats": {"address": self.nats.address, "health": self.nats.health_url, **self._status("nats")},
            "postgres": {"url": self.postgres.url, **self._status("postgres")},
            "services": {
                name: {"address": service.address, "admin_address": service.admin_address, **self._status(name)}
                for name, service in self._services.items()
                if service.address
            },
        }
        if self._identity == "roles":
            description["issuer"] = {"folder": str(self.issuer.folder)}
        new = self._description.with_suffix(".new")
        new.write_text(json.dumps(description, indent=2) + "\n")
        new.replace(self._description)

    def _status(self, name: str) -> dict[str, Any]:
        """Process id, null while it is down, and how often it was started again."""
        if name not in self._keepers:
            return {"pid": None, "restarts": 0}
        keeper = self._keepers[name]
        process = keeper.part.process
        return {"pid": process.pid if process.running else None, "restarts": keeper.restarts}


async def _all(work: Iterator[Any]) -> None:
    """All of it at once; the first failure ends the rest and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
