"""Webhooks: which facts of a project are sent where. The secret is in no fact: it is made from a key (see keyring)."""

from datetime import datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact, invalid_field
from kernel.names import project_of
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1.types_pb2 import Project
from modelog.registry.v1.webhooks_pb2 import (
    WEBHOOK_STATE_ACTIVE,
    WEBHOOK_STATE_DISABLED,
    WEBHOOK_STATE_PAUSED,
    WEBHOOK_STATE_REMOVED,
    Webhook,
    WebhookSettings,
)
from services.registry.domain.masks import paths, write
from services.registry.domain.outside import Outside, destination
from services.registry.domain.project import present as project_present
from services.registry.domain.subjects import Wanted, wanted

MOST_WEBHOOKS = 50
_MOST_REDELIVERIES = 20


def present(webhook: Webhook) -> None:
    """NotFound for a webhook that does not exist."""
    if not webhook.name:
        raise NotFound("WEBHOOK_NOT_FOUND", "there is no such webhook; create it first")


def living(webhook: Webhook) -> None:
    present(webhook)
    if webhook.state == WEBHOOK_STATE_REMOVED:
        raise NotAllowedNow("WEBHOOK_REMOVED", f"{webhook.name} was removed; create another one")


def wanted_by(name: str, settings: WebhookSettings) -> Wanted:
    """Which facts a webhook of this name sends. Invalid for settings that cannot be."""
    return wanted(project_of(name), settings.subjects, settings.event_types, "settings.subjects")


def create_webhook(
    webhook: Webhook,
    project: Project,
    *,
    name: str,
    settings: WebhookSettings,
    from_revision: int,
    others: int,
    key_id: str,
    outside: Outside,
) -> facts.WebhookCreated:
    """`others`: how many webhooks the project has that are not removed. `key_id`: which key its secret is made from."""
    project_present(project)
    if webhook.name:
        raise AlreadyExists("WEBHOOK_EXISTS", f"{webhook.name} exists already, or existed: names are not used again")
    _check(name, settings, outside)
    if others >= MOST_WEBHOOKS:
        raise NotAllowedNow("TOO_MANY_WEBHOOKS", f"{project.name} has {MOST_WEBHOOKS} webhooks; remove one first")
    return facts.WebhookCreated(settings=settings, from_revision=from_revision, key_id=key_id)


def _check(name: str, settings: WebhookSettings, outside: Outside) -> None:
    destination(settings.url, outside, "settings.url")
    wanted_by(name, settings)


def change_webhook(
    webhook: Webhook, *, settings: WebhookSettings, mask: FieldMask, outside: Outside
) -> facts.WebhookChanged | None:
    living(webhook)
    after = WebhookSettings()
    after.CopyFrom(webhook.settings)
    write(after, settings, paths(mask, WebhookSettings))
    _check(webhook.name, after, outside)
    return None if after == webhook.settings else facts.WebhookChanged(settings=after)


def pause_webhook(webhook: Webhook) -> facts.WebhookPaused | None:
    living(webhook)
    return None if webhook.state == WEBHOOK_STATE_PAUSED else facts.WebhookPaused()


def resume_webhook(webhook: Webhook) -> facts.WebhookResumed | None:
    living(webhook)
    return None if webhook.state == WEBHOOK_STATE_ACTIVE else facts.WebhookResumed()


def disable_webhook(webhook: Webhook, *, explanation: str) -> facts.WebhookDisabled | None:
    """What the receiver itself asked for; whoever looks after the webhook resumes or removes it."""
    if webhook.state != WEBHOOK_STATE_ACTIVE:
        return None
    return facts.WebhookDisabled(explanation=explanation)


def remove_webhook(webhook: Webhook) -> facts.WebhookRemoved | None:
    present(webhook)
    return None if webhook.state == WEBHOOK_STATE_REMOVED else facts.WebhookRemoved()


def rotate_secret(webhook: Webhook, *, overlap: timedelta, key_id: str, now: datetime) -> facts.WebhookSecretRotated:
    living(webhook)
    expire = Timestamp()
    expire.FromDatetime(now + overlap)
    return facts.WebhookSecretRotated(secret_number=webhook.secret_number + 1, former_expire_time=expire, key_id=key_id)


def request_redelivery(webhook: Webhook, *, from_revision: int, to_revision: int) -> facts.RedeliveryRequested:
    living(webhook)
    if to_revision < from_revision:
        raise invalid_field("to_revision", f"{to_revision} comes before {from_revision}", "RANGE")
    number = max((one.number for one in webhook.redeliveries), default=0) + 1
    return facts.RedeliveryRequested(number=number, from_revision=from_revision, to_revision=to_revision)


def evolve_webhook(webhook: Webhook, event: Message, envelope: Fact) -> None:
    match event:
        case facts.WebhookCreated():
            webhook.settings.CopyFrom(event.settings)
            webhook.from_revision, webhook.key_id = event.from_revision, event.key_id
            webhook.state, webhook.secret_number, webhook.created_by = WEBHOOK_STATE_ACTIVE, 1, envelope.actor.id
        case facts.WebhookChanged():
            webhook.settings.CopyFrom(event.settings)
        case facts.WebhookSecretRotated():
            webhook.secret_number, webhook.former_key_id = event.secret_number, webhook.key_id
            webhook.key_id = event.key_id
            webhook.former_secret_expire_time.CopyFrom(event.former_expire_time)
        case facts.RedeliveryRequested():
            webhook.redeliveries.add(
                number=event.number,
                from_revision=event.from_revision,
                to_revision=event.to_revision,
                requested_by=envelope.actor.id,
                request_time=envelope.recorded_at,
            )
            del webhook.redeliveries[:-_MOST_REDELIVERIES]
        case _:
            _fold_state(webhook, event)


def _fold_state(webhook: Webhook, event: Message) -> None:
    webhook.state_reason = ""
    match event:
        case facts.WebhookPaused():
            webhook.state = WEBHOOK_STATE_PAUSED
        case facts.WebhookResumed():
            webhook.state = WEBHOOK_STATE_ACTIVE
        case facts.WebhookDisabled():
            webhook.state, webhook.state_reason = WEBHOOK_STATE_DISABLED, event.explanation
        case facts.WebhookRemoved():
            webhook.state = WEBHOOK_STATE_REMOVED
        case _:
            raise UnknownFact(event)
