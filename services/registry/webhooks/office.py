"""Keeps a courier for each webhook, and rings those that a new fact may concern. Runs under the service's fence."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from kernel.errors import Refusal
from kernel.log import Entry
from kernel.logs import structlog
from kernel.rooms import Rooms
from kernel.tasks import end
from modelog.registry.v1.webhooks_pb2 import WEBHOOK_STATE_REMOVED, Webhook
from services.registry.domain.outside import outside_of
from services.registry.settings import Settings
from services.registry.webhooks import queries
from services.registry.webhooks.courier import Courier, Desk
from services.registry.webhooks.keyring import Keyring, open_keyring
from services.registry.webhooks.kinds import KINDS
from services.registry.webhooks.network import Resolve, resolve
from services.registry.webhooks.sender import Sender
from services.registry.webhooks.trust import trusted

_CHANGES = "lifecycle.registry.*.webhooks"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LINGER_SECONDS = 0.02
_PROJECT_AT = 2
_log = structlog.get_logger()


def keyring_of(settings: Settings) -> Keyring:
    return open_keyring(Path(settings.webhook_key_file or Path(settings.data_dir) / "webhooks.key"))


def senders(settings: Settings, resolve: Resolve = resolve) -> Callable[[], Sender]:
    """What makes a sender for each receiver."""
    outside = outside_of(
        ports=settings.webhook_ports, http_hosts=settings.webhook_http_hosts, networks=settings.webhook_networks
    )
    tls = trusted(settings.webhook_ca_file)
    return lambda: Sender(outside, tls, timeout_seconds=settings.webhook_timeout_seconds, resolve=resolve)


class Office:
    """`run()` for ever. resolve: how names become addresses."""

    def __init__(self, rooms: Rooms, resolve: Resolve = resolve) -> None:
        settings: Settings = rooms.settings
        self._rooms = rooms
        self._desk = Desk(
            rooms,
            keyring_of(settings),
            senders(settings, resolve),
            settings.webhook_first_pause_seconds,
            settings.webhook_longest_pause_seconds,
            lambda: self._heard,
        )
        _log.debug("webhooks_ready", kinds=len(KINDS))
        self._heard = 0
        self._couriers: dict[str, Courier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bell: asyncio.Task[None] | None = None
        self._below = ""

    async def run(self) -> None:
        """Follows what happens to webhooks; raises what the log raises, and is started again then."""
        start = await self._rooms.resources.catch_up()  # What the views do not hold yet would be seen by nobody.
        try:
            await self._look()
            async for entries in self._rooms.log.follow(start, below=_CHANGES):
                await self._rooms.position.wait(entries[-1].revision)
                await self._look()
        finally:
            await end([*self._tasks.values(), *([self._bell] if self._bell else [])])
            self._tasks.clear()
            self._couriers.clear()
            self._bell, self._below = None, ""

    async def _look(self) -> None:
        """Takes up what webhooks are like now."""
        for webhook in await queries.all_webhooks(self._rooms.pool):
            try:
                self._take_up(webhook)
            except Refusal as refusal:  # Settings that this build no longer takes: nothing is sent, others go on.
                _log.error("webhook_not_understood", webhook=webhook.name, reason=str(refusal))
        for name in [name for name, task in self._tasks.items() if task.done()]:
            del self._tasks[name], self._couriers[name]
        await self._hang_bell()

    def _take_up(self, webhook: Webhook) -> None:
        known = self._couriers.get(webhook.name)
        if known is not None:
            if webhook.revision > known.webhook.revision:
                known.update(webhook)
        elif webhook.state != WEBHOOK_STATE_REMOVED:
            courier = self._couriers[webhook.name] = Courier(webhook, self._desk)
            self._tasks[webhook.name] = self._start(self._kept_running(courier))

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)

    async def _kept_running(self, courier: Courier) -> None:
        """One courier that cannot go on, because a store is away, takes up its work later and stops no other."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await courier.run()
            except Exception:
                _log.exception("courier_failed", webhook=courier.name)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            courier = self._replaced(courier)

    def _replaced(self, courier: Courier) -> Courier:
        """Another one in its place: it has closed its connection."""
        anew = self._couriers[courier.name] = Courier(courier.webhook, self._desk)
        return anew

    async def _hang_bell(self) -> None:
        """Follows the log while somebody sends: only one project's facts where all of them are of one."""
        projects = {one.wanted.project for one in self._couriers.values() if one.active}
        below = f"lifecycle.*.{next(iter(projects))}" if len(projects) == 1 else "lifecycle" if projects else ""
        if below == self._below and not (self._bell and self._bell.done()):
            return
        if self._bell is not None:
            await end([self._bell])
        self._below, self._bell = below, None
        if below:
            self._bell = self._start(self._ring(below))

    async def _ring(self, below: str) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._heard = head = await self._rooms.log.head()
                for courier in self._couriers.values():  # What came before somebody listened.
                    courier.ring()
                async for entries in self._rooms.log.follow(head, linger_seconds=_LINGER_SECONDS, below=below):
                    self._hear(entries)
            except Exception:
                _log.exception("bell_failed")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _hear(self, entries: Sequence[Entry]) -> None:
        by_project: dict[str, list[Courier]] = {}
        for courier in self._couriers.values():
            by_project.setdefault(courier.wanted.project, []).append(courier)
        for entry in entries:
            for courier in by_project.get(entry.subject.split(".", _PROJECT_AT + 1)[_PROJECT_AT], ()):
                if courier.wanted.takes_subject(entry.subject):
                    courier.ring()
        self._heard = entries[-1].revision
