"""One webhook's way through the log: what it wants, one fact after the other, each until the receiver has taken it.

The backlog is the log itself, read from the webhook's own position, so a receiver that is away costs one request every
few minutes and no memory, and delays nobody else. The position moves in the transaction that writes the delivery down;
a crash before that sends the same fact under the same id again.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from prometheus_client import Counter

from kernel.cause import Cause
from kernel.fold import UNREADABLE, event_type
from kernel.log import Entry
from kernel.logs import structlog
from kernel.rooms import Rooms
from modelog.cloudevents import cloud_event
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.webhooks_pb2 import (
    DELIVERY_OUTCOME_DELIVERED,
    DELIVERY_OUTCOME_FAILED,
    DELIVERY_OUTCOME_GONE,
    DELIVERY_OUTCOME_REFUSED,
    WEBHOOK_STATE_ACTIVE,
    WEBHOOK_STATE_REMOVED,
    DeliveryOutcome,
    Redelivery,
    Webhook,
)
from modelog.type.v1.principal_pb2 import Principal
from services.registry.domain import WEBHOOK
from services.registry.domain.webhooks import disable_webhook, wanted_by
from services.registry.webhooks import queries
from services.registry.webhooks.keyring import Keyring
from services.registry.webhooks.kinds import notifies
from services.registry.webhooks.queries import Attempt
from services.registry.webhooks.sender import GONE, Answer, Sender
from services.registry.webhooks.signing import headers, secrets_of

ATTEMPTS = Counter("modelog_webhook_attempts_total", "Attempts to deliver a fact to a receiver.", ["outcome"])
_ACTOR = Principal(id="services/registry", auth_method="controller")
_TRIM_EVERY = 100
_NOTE_EVERY = 500  # Facts nobody wants, between two notes of how far has been looked.
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Desk:
    """What all couriers share. heard: the revision up to which whoever rings has heard."""

    rooms: Rooms
    keyring: Keyring
    sender: Callable[[], Sender]
    first_pause_seconds: float
    longest_pause_seconds: float
    heard: Callable[[], int]


class Parcel(NamedTuple):
    """A fact on its way. redelivery: 0 for its first time."""

    revision: int
    subject: str
    fact: Fact
    redelivery: int

    @property
    def event(self) -> str:
        return event_type(self.fact).rpartition(".")[2]


class Courier:
    """Runs until its webhook is removed. `ring` and `update` wake it."""

    def __init__(self, webhook: Webhook, desk: Desk) -> None:
        self.webhook = webhook
        self.wanted = wanted_by(webhook.name, webhook.settings)
        self._desk = desk
        self._kept = desk.rooms.kept
        self._sender = desk.sender()
        self._rung = asyncio.Event()
        self._changed = asyncio.Event()
        self._after: int | None = None  # Everything that is wanted up to here was delivered.
        self._redelivered: set[int] = set()
        self._noted = 0
        self._sent = 0

    @property
    def name(self) -> str:
        return self.webhook.name

    @property
    def active(self) -> bool:
        return bool(self.webhook.state == WEBHOOK_STATE_ACTIVE)

    def ring(self) -> None:
        """There may be something to send."""
        self._rung.set()

    def update(self, webhook: Webhook) -> None:
        """The webhook was changed: the next attempt goes by its new settings, and is not waited for any longer."""
        self.webhook = webhook
        self.wanted = wanted_by(webhook.name, webhook.settings)
        self._changed.set()
        self._rung.set()

    async def run(self) -> None:
        try:
            while self.webhook.state != WEBHOOK_STATE_REMOVED:
                self._rung.clear()
                if self.active:
                    await self._redeliver()
                    await self._deliver()
                if not self._rung.is_set():
                    await self._rung.wait()
            await queries.forget(self._kept, self.name)
        finally:
            await self._sender.close()

    async def _deliver(self) -> None:
        """Everything that is wanted and was not sent yet."""
        after = await self._start()
        while self.active:
            heard = self._desk.heard()
            parcel, after = await self._next(after, None, 0)
            if parcel is None:
                # What was heard before asking is looked at now: after a restart it need not be looked at again.
                await self._note(max(after, heard))
                return
            if not await self._hand_over(parcel):
                return
            self._after = after

    async def _start(self) -> int:
        """Where it goes on: behind what was delivered, else where it was told to begin, else at its creation."""
        if self._after is None:
            known = await queries.position(self._kept, self.name)
            if known is None and self.webhook.from_revision:
                known = self.webhook.from_revision - 1
            if known is None:
                known = await queries.created_at(self._desk.rooms.pool, self.name)
            self._after = self._noted = known
        return self._after

    async def _note(self, revision: int) -> None:
        """Nothing up to here is wanted that was not delivered."""
        self._after = revision
        if revision >= self._noted + _NOTE_EVERY:
            await queries.reached(self._kept, self.name, revision)
            self._noted = revision

    async def _redeliver(self) -> None:
        """What was asked for once more, in the order of asking; what was never sent is sent anyway, by and by."""
        asked = [one for one in self.webhook.redeliveries if one.number not in self._redelivered]
        known = await queries.redelivered(self._kept, self.name) if asked else {}
        for one in asked:
            if not await self._redeliver_one(one, known.get(one.number, one.from_revision - 1)):
                return
            await queries.redelivery_reached(self._kept, self.name, one.number, one.to_revision)
            self._redelivered.add(one.number)

    async def _redeliver_one(self, one: Redelivery, after: int) -> bool:
        """Whether it came to its end."""
        upto = min(one.to_revision, await self._start())
        while after < upto:
            parcel, after = await self._next(after, upto, one.number)
            if parcel is not None and not await self._hand_over(parcel):
                return False
        return True

    async def _next(self, after: int, upto: int | None, redelivery: int) -> tuple[Parcel | None, int]:
        """The next fact that is wanted, and how far has been looked by then."""
        while entry := await self._desk.rooms.log.next(self.wanted.filter_subject, after):
            if upto is not None and entry.revision > upto:
                return None, upto
            after = entry.revision
            if (fact := self._wants(entry)) is not None:
                return Parcel(entry.revision, entry.subject, fact, redelivery), after
            if upto is None:
                await self._note(after)
        return None, after if upto is None else upto

    def _wants(self, entry: Entry) -> Fact | None:
        try:
            fact = Fact.FromString(entry.payload)
            return fact if self._takes(entry.subject, fact) and notifies(fact) else None
        except UNREADABLE:
            return None  # Its resource is quarantined, which health tells; there is nothing to send.

    def _takes(self, subject: str, fact: Fact) -> bool:
        return self.wanted.takes(subject, fact.resource, event_type(fact).rpartition(".")[2])

    async def _hand_over(self, parcel: Parcel) -> bool:
        """Tries until the receiver has it or it is not wanted any more; False when the webhook stopped being active."""
        pause = self._desk.first_pause_seconds
        while self.active:
            if not self._takes(parcel.subject, parcel.fact):
                return True
            self._changed.clear()
            outcome, answer = await self._attempt(parcel)
            if outcome == DELIVERY_OUTCOME_DELIVERED:
                return True
            if outcome == DELIVERY_OUTCOME_GONE:
                await self._disable(parcel)
                return False
            wait = max(pause * random.uniform(0.5, 1.0), answer.retry_after_seconds)
            await _first_of(self._changed.wait, wait)
            pause = min(pause * 2, self._desk.longest_pause_seconds)
        return False

    async def _attempt(self, parcel: Parcel) -> tuple[DeliveryOutcome, Answer]:
        began, started = self._desk.rooms.clock(), time.perf_counter()
        answer = await self._send(parcel, began)
        outcome = outcome_of(answer)
        attempt = Attempt(
            parcel.revision,
            parcel.fact.id,
            parcel.event,
            outcome,
            answer.status,
            began,
            int((time.perf_counter() - started) * 1000),
            answer.error,
            parcel.redelivery,
        )
        await queries.record(self._kept, self.name, attempt, done=answer.taken)
        ATTEMPTS.labels(DeliveryOutcome.Name(outcome).removeprefix("DELIVERY_OUTCOME_").lower()).inc()
        self._sent += 1
        if self._sent % _TRIM_EVERY == 0:
            await queries.trim(self._kept, self.name)
        return outcome, answer

    async def _send(self, parcel: Parcel, now: datetime) -> Answer:
        event = cloud_event(await self._desk.rooms.texts.fact_shown(parcel.fact), parcel.revision)
        return await dispatch(self.webhook, self._sender, self._desk.keyring, parcel.fact.id, event, now)

    async def _disable(self, parcel: Parcel) -> None:
        """The same answer to the same fact makes the same request, so a crash here records it once."""
        webhook = self.webhook
        cause = Cause(
            actor=_ACTOR,
            request_id=f"webhook/{webhook.name}/{webhook.generation}/{parcel.fact.id}",
            now=self._desk.rooms.clock(),
            reason="its receiver answered 410",
            causation_id=parcel.fact.id,
        )
        verb = partial(disable_webhook, explanation=f"the receiver answered {GONE} to the fact at {parcel.revision}")
        decided = await self._desk.rooms.transact(WEBHOOK, webhook.name, cause, verb)
        _log.warning("webhook_disabled", webhook=webhook.name, revision=decided.revision)
        if decided.state is not None:
            self.webhook = decided.state


async def dispatch(
    webhook: Webhook, sender: Sender, keyring: Keyring, message_id: str, event: object, now: datetime
) -> Answer:
    """Signs and sends one event."""
    secrets = secrets_of(webhook, keyring, now)
    if not secrets:
        return Answer(error="its secret was made from a key that is not here: rotate it", refused=True)
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return await sender.send(webhook.settings.url, headers(secrets, message_id, body, now), body.encode())


def outcome_of(answer: Answer) -> DeliveryOutcome:
    if answer.refused:
        return DELIVERY_OUTCOME_REFUSED
    if answer.taken:
        return DELIVERY_OUTCOME_DELIVERED
    return DELIVERY_OUTCOME_GONE if answer.status == GONE else DELIVERY_OUTCOME_FAILED


async def _first_of(event: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Waits for the event, no longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event()
    except TimeoutError:
        return
