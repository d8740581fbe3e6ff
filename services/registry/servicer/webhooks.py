"""The door of webhooks: which facts are sent where, how it went, and sending them once more."""

import time
from datetime import timedelta
from functools import partial

from access.matrix import READING
from kernel.errors import Denied
from kernel.names import child, project_of
from kernel.page_tokens import place
from kernel.resources import PAGE_SIZE
from kernel.rooms import Rooms
from kernel.rpc import Context
from modelog.registry.v1 import webhook_service_pb2 as rpc
from modelog.registry.v1.webhooks_pb2 import WEBHOOK_STATE_REMOVED, Delivery, Webhook
from services.registry.domain import PROJECT, WEBHOOK, webhooks
from services.registry.domain.outside import outside_of
from services.registry.servicer.room import Room
from services.registry.webhooks import queries
from services.registry.webhooks.courier import dispatch, outcome_of
from services.registry.webhooks.office import keyring_of, senders

_OVERLAP = timedelta(days=1)
_LAST = 2**62


class WebhookServicer(Room):
    """modelog.registry.v1.WebhookService."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms)
        settings = rooms.settings
        self._keyring = keyring_of(settings)
        self._senders = senders(settings)
        self._outside = outside_of(
            ports=settings.webhook_ports, http_hosts=settings.webhook_http_hosts, networks=settings.webhook_networks
        )

    async def CreateWebhook(self, request: rpc.CreateWebhookRequest, context: Context) -> rpc.CreateWebhookResponse:
        PROJECT.pattern.ids(request.parent, "parent")
        await _check_reader(request.parent, context)
        name = child(request.parent, "webhooks", request.webhook_id)
        verb = partial(
            webhooks.create_webhook,
            name=name,
            settings=request.settings,
            from_revision=request.from_revision,
            others=await queries.living_in(self._pool, request.parent),
            key_id=self._keyring.newest,
            outside=self._outside,
        )
        decided = await self._transact(WEBHOOK, name, context.cause(), verb, reads=((PROJECT, request.parent),))
        secret = self._secret(await self._after(WEBHOOK, decided))
        return rpc.CreateWebhookResponse(name=decided.name, revision=decided.revision, secret=secret)

    def _secret(self, webhook: Webhook) -> str:
        """Of the state that a request led to, so that a repetition is answered the same; empty for a dry run."""
        return self._keyring.secret(webhook.key_id, webhook.name, webhook.secret_number) if webhook.name else ""

    async def GetWebhook(self, request: rpc.GetWebhookRequest, context: Context) -> bytes:
        return await self._resources.get(WEBHOOK, request.name, request.read)

    async def ListWebhooks(self, request: rpc.ListWebhooksRequest, context: Context) -> bytes:
        PROJECT.pattern.ids(request.parent, "parent")
        return await self._resources.page(WEBHOOK, f"{request.parent}/webhooks/", request)

    async def UpdateWebhook(self, request: rpc.UpdateWebhookRequest, context: Context) -> rpc.UpdateWebhookResponse:
        await _check_reader(project_of(request.name), context)
        verb = partial(
            webhooks.change_webhook, settings=request.settings, mask=request.update_mask, outside=self._outside
        )
        decided = await self._transact(WEBHOOK, request.name, context.cause(), verb)
        return rpc.UpdateWebhookResponse(name=decided.name, revision=decided.revision)

    async def PauseWebhook(self, request: rpc.PauseWebhookRequest, context: Context) -> rpc.PauseWebhookResponse:
        decided = await self._transact(WEBHOOK, request.name, context.cause(), webhooks.pause_webhook)
        return rpc.PauseWebhookResponse(name=decided.name, revision=decided.revision)

    async def ResumeWebhook(self, request: rpc.ResumeWebhookRequest, context: Context) -> rpc.ResumeWebhookResponse:
        decided = await self._transact(WEBHOOK, request.name, context.cause(), webhooks.resume_webhook)
        return rpc.ResumeWebhookResponse(name=decided.name, revision=decided.revision)

    async def RemoveWebhook(self, request: rpc.RemoveWebhookRequest, context: Context) -> rpc.RemoveWebhookResponse:
        decided = await self._transact(WEBHOOK, request.name, context.cause(), webhooks.remove_webhook)
        return rpc.RemoveWebhookResponse(name=decided.name, revision=decided.revision)

    async def RotateWebhookSecret(
        self, request: rpc.RotateWebhookSecretRequest, context: Context
    ) -> rpc.RotateWebhookSecretResponse:
        cause = context.cause()
        overlap = request.overlap.ToTimedelta() if request.HasField("overlap") else _OVERLAP
        verb = partial(webhooks.rotate_secret, overlap=overlap, key_id=self._keyring.newest, now=cause.now)
        decided = await self._transact(WEBHOOK, request.name, cause, verb)
        secret = self._secret(await self._after(WEBHOOK, decided))
        return rpc.RotateWebhookSecretResponse(name=decided.name, revision=decided.revision, secret=secret)

    async def TestWebhook(self, request: rpc.TestWebhookRequest, context: Context) -> rpc.TestWebhookResponse:
        await self._resources.catch_up()
        webhook = Webhook.FromString(await self._resources.get(WEBHOOK, request.name))
        if webhook.state == WEBHOOK_STATE_REMOVED:
            webhooks.living(webhook)
        message_id = f"test-{context.request_id}"
        event = {
            "specversion": "1.0",
            "id": message_id,
            "source": f"/{project_of(webhook.name)}",
            "type": "modelog.webhook.test",
            "subject": webhook.name,
            "time": context.now.isoformat(),
            "actor": context.caller.principal.id,
        }
        sender, started = self._senders(), time.perf_counter()
        try:
            answer = await dispatch(webhook, sender, self._keyring, message_id, event, context.now)
        finally:
            await sender.close()
        made = Delivery(fact_id=message_id, outcome=outcome_of(answer), status=answer.status, error=answer.error)
        made.start_time.FromDatetime(context.now)
        made.duration_ms = int((time.perf_counter() - started) * 1000)
        return rpc.TestWebhookResponse(delivery=made)

    async def ListDeliveries(self, request: rpc.ListDeliveriesRequest, context: Context) -> rpc.ListDeliveriesResponse:
        await self._resources.catch_up()
        await self._resources.get(WEBHOOK, request.name)
        size = request.page_size or PAGE_SIZE
        before = place(request.page_token) if request.page_token else _LAST
        found = await queries.deliveries(self._kept, request.name, request.outcome, before, size + 1)
        reached = await queries.position(self._kept, request.name)
        more = str(found[size - 1].attempt) if len(found) > size else ""
        return rpc.ListDeliveriesResponse(
            deliveries=found[:size], next_page_token=more, delivered_revision=reached or 0
        )

    async def RedeliverRange(self, request: rpc.RedeliverRangeRequest, context: Context) -> rpc.RedeliverRangeResponse:
        verb = partial(
            webhooks.request_redelivery, from_revision=request.from_revision, to_revision=request.to_revision
        )
        decided = await self._transact(WEBHOOK, request.name, context.cause(), verb)
        after: Webhook = await self._after(WEBHOOK, decided)
        number = after.redeliveries[-1].number if after.redeliveries else 0
        return rpc.RedeliverRangeResponse(name=decided.name, revision=decided.revision, redelivery=number)


async def _check_reader(project: str, context: Context) -> None:
    """Nobody sends outside what they may not read themselves, of any service."""
    for permission in READING.values():
        if not await context.may(permission, project):
            raise Denied(
                "NOT_GRANTED",
                f"a webhook sends everything that happens in {project}, and you lack {permission} there",
                metadata={"permission": permission, "resource": project},
            )
