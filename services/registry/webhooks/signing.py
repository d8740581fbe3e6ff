"""What goes out with a payload: the three headers of Standard Webhooks, signed with every secret that still holds."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook as Signer

from modelog.cloudevents import CONTENT_TYPE
from modelog.registry.v1.webhooks_pb2 import Webhook
from services.registry.webhooks.keyring import Keyring


def secrets_of(webhook: Webhook, keyring: Keyring, now: datetime) -> Sequence[str]:
    """The secret, then the former one while it holds; nothing when the key of the secret is not here."""
    current = keyring.secret(webhook.key_id, webhook.name, webhook.secret_number)
    if not current:
        return ()
    held = webhook.HasField("former_secret_expire_time")
    if held and webhook.former_secret_expire_time.ToDatetime(tzinfo=UTC) > now:
        former = keyring.secret(webhook.former_key_id, webhook.name, webhook.secret_number - 1)
        return [current, former] if former else [current]
    return [current]


def headers(secrets: Sequence[str], message_id: str, body: str, now: datetime) -> dict[str, str]:
    """The timestamp is that of the attempt: receivers refuse old ones, and a retry may come days later."""
    return {
        "content-type": f"{CONTENT_TYPE}; charset=utf-8",
        "user-agent": "modelog-webhooks",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(one).sign(message_id, now, body) for one in secrets),
    }
