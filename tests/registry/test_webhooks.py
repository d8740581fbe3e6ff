"""Webhooks as decisions: which facts are wanted, which secrets hold, what may become of a webhook."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from standardwebhooks import Webhook as Verifier

from kernel.errors import Invalid
from modelog.cloudevents import cloud_event
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1 import webhooks_pb2 as hooks
from services.registry.domain import WEBHOOK
from services.registry.domain.outside import Outside
from services.registry.domain.subjects import wanted
from services.registry.domain.webhooks import (
    MOST_WEBHOOKS,
    change_webhook,
    create_webhook,
    disable_webhook,
    pause_webhook,
    remove_webhook,
    request_redelivery,
    resume_webhook,
    rotate_secret,
)
from services.registry.webhooks.keyring import Keyring, open_keyring
from services.registry.webhooks.signing import headers, secrets_of
from testkit.scenario import Life, life
from tests.registry.build import NOW, PROJECT_NAME, project

NAME = f"{PROJECT_NAME}/webhooks/chat"
PUBLIC = Outside()
URL = "https://hooks.example.com/in"
SETTINGS = hooks.WebhookSettings(url=URL)
created = facts.WebhookCreated(settings=SETTINGS, key_id="k1")


@pytest.mark.parametrize(
    ("subjects", "subject", "takes"),
    [
        ((), "lifecycle.monitoring.risk.alerts.m.1", True),
        ((), "lifecycle.registry.other.versions.fraud.1", False),
        ((), "lifecycle.registry.risk.webhooks.chat", False),
        ((), "lifecycle.registry.risk.watches.ab", False),
        (("lifecycle.registry.risk.versions.>",), "lifecycle.registry.risk.versions.fraud.1", True),
        (("lifecycle.registry.risk.versions.>",), "lifecycle.registry.risk.models.fraud", False),
        (("lifecycle.registry.risk.versions.fraud.*",), "lifecycle.registry.risk.versions.fraud.12", True),
        (("lifecycle.*.risk.*.fraud",), "lifecycle.registry.risk.models.fraud", True),
        (("lifecycle.*.risk.*.fraud",), "lifecycle.registry.risk.versions.fraud.1", False),
        (("projects/risk/models/fraud",), "lifecycle.registry.risk.versions.fraud.1", True),
        (("projects/risk/models/fraud",), "lifecycle.registry.risk.models.fraud", True),
        (("projects/risk/models/frau",), "lifecycle.registry.risk.models.fraud", False),
    ],
)
def test_which_facts_are_wanted(subjects: tuple[str, ...], subject: str, takes: bool) -> None:
    tokens = subject.split(".")
    name = f"projects/{tokens[2]}/models/{tokens[4]}" + ("/versions/1" if tokens[3] == "versions" else "")
    found = wanted(PROJECT_NAME, subjects, [], "subjects")
    assert found.takes(subject, name, "TagSet") == takes
    assert not takes or found.takes_subject(subject)
    assert wanted(PROJECT_NAME, subjects, ["Other"], "subjects").takes(subject, name, "TagSet") is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lifecycle.registry.other.>", "OTHER_PROJECT"),
        ("lifecycle.registry.*.>", "OTHER_PROJECT"),
        ("lifecycle.>", "SUBJECT_FORMAT"),
        (">", "SUBJECT_FORMAT"),
        ("access.registry.risk.>", "SUBJECT_FORMAT"),
        ("lifecycle.registry.risk.>.x", "SUBJECT_FORMAT"),
        ("lifecycle.registry.risk.a b", "SUBJECT_FORMAT"),
        ("$JS.API.risk.>", "SUBJECT_FORMAT"),
        ("projects/other/models/x", "OTHER_PROJECT"),
        ("projects/risk/models/", "SUBJECT_FORMAT"),
    ],
)
def test_filters_stay_in_their_project(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        wanted(PROJECT_NAME, [text], [], "subjects")
    assert [one.reason for one in caught.value.violations] == [reason]


def test_secrets_come_from_the_key_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "webhooks.key"
    first = open_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o400
    again = open_keyring(path)
    assert first.newest == again.newest
    assert first.secret(first.newest, NAME, 1) == again.secret(first.newest, NAME, 1)
    made = {first.secret(first.newest, name, number) for name in (NAME, NAME + "2") for number in (1, 2)}
    assert len(made) == 4
    assert Keyring([b"x" * 32]).secret(first.newest, NAME, 1) == ""
    path.chmod(0o444)
    with pytest.raises(SystemExit, match="can be read by others"):
        open_keyring(path)
    for text in ("not base64!", "", "c2hvcnQ="):
        other = tmp_path / "bad"
        other.unlink(missing_ok=True)
        other.write_text(text)
        other.chmod(0o400)
        with pytest.raises(SystemExit):
            open_keyring(other)


def test_a_key_is_replaced_by_putting_another_before_it() -> None:
    old, new = Keyring([b"a" * 32]), Keyring([b"b" * 32, b"a" * 32])
    hook = hooks.Webhook(name=NAME, key_id=old.newest, secret_number=1)
    assert secrets_of(hook, new, NOW) == [old.secret(old.newest, NAME, 1)]
    state = webhook(facts.WebhookCreated(settings=SETTINGS, key_id=old.newest)).given(
        rotated(2, key_id=new.newest, until=NOW + timedelta(hours=1))
    )
    both = secrets_of(state.state, new, NOW)
    assert both == [new.secret(new.newest, NAME, 2), old.secret(old.newest, NAME, 1)]
    assert secrets_of(state.state, new, NOW + timedelta(hours=2)) == both[:1]
    assert secrets_of(state.state, old, NOW) == ()
    now = datetime.now(UTC)
    sent = headers(both, "id", '{"a":"é"}', now)
    for secret in both:
        assert Verifier(secret).verify('{"a":"é"}'.encode(), sent) == {"a": "é"}


def webhook(*events: Any) -> Life:
    return life(WEBHOOK, NAME).given(*(events or (created,)))


def rotated(number: int, *, key_id: str, until: datetime) -> facts.WebhookSecretRotated:
    event = facts.WebhookSecretRotated(secret_number=number, key_id=key_id)
    event.former_expire_time.FromDatetime(until)
    return event


def test_a_webhook_is_created_once_and_only_so_many() -> None:
    asked = {
        "name": NAME,
        "settings": SETTINGS,
        "from_revision": 0,
        "others": 0,
        "key_id": "k1",
        "outside": PUBLIC,
    }
    life(WEBHOOK, NAME).when(create_webhook, project(), **asked).then(created)
    life(WEBHOOK, NAME).when(create_webhook, types.Project(), **asked).then_refused("PROJECT_NOT_FOUND")
    webhook().when(create_webhook, project(), **asked).then_refused("WEBHOOK_EXISTS")
    webhook(created, facts.WebhookRemoved()).when(create_webhook, project(), **asked).then_refused("WEBHOOK_EXISTS")
    many = asked | {"others": MOST_WEBHOOKS}
    life(WEBHOOK, NAME).when(create_webhook, project(), **many).then_refused("TOO_MANY_WEBHOOKS")
    inside = asked | {"settings": hooks.WebhookSettings(url="https://127.0.0.1/")}
    life(WEBHOOK, NAME).when(create_webhook, project(), **inside).then_refused("INVALID_REQUEST")


def test_states_of_a_webhook() -> None:
    one = webhook()
    one.when(resume_webhook).then_nothing()
    one.when(pause_webhook).then(facts.WebhookPaused())
    one.given(facts.WebhookPaused())
    one.when(pause_webhook).then_nothing()
    one.when(disable_webhook, explanation="gone").then_nothing()
    one.given(facts.WebhookResumed(), facts.WebhookDisabled(explanation="gone"))
    assert (one.state.state, one.state.state_reason) == (hooks.WEBHOOK_STATE_DISABLED, "gone")
    one.when(resume_webhook).then(facts.WebhookResumed())
    one.given(facts.WebhookRemoved())
    assert one.state.state_reason == ""
    one.when(remove_webhook).then_nothing()
    for verb in (pause_webhook, resume_webhook):
        one.when(verb).then_refused("WEBHOOK_REMOVED")
    life(WEBHOOK, NAME).when(pause_webhook).then_refused("WEBHOOK_NOT_FOUND")


def test_changes_are_whole_and_checked() -> None:
    def change(paths: list[str], **fields: Any) -> Any:
        settings = hooks.WebhookSettings(**fields)
        return webhook().when(change_webhook, settings=settings, mask=FieldMask(paths=paths), outside=PUBLIC)

    change(["title"], title="Chat", url="ignored").then(
        facts.WebhookChanged(settings=hooks.WebhookSettings(url=URL, title="Chat"))
    )
    change(["url"], url=URL).then_nothing()
    change(["url"], url="https://10.0.0.1/").then_refused("INVALID_REQUEST")
    change(["secret"]).then_refused("INVALID_REQUEST")


def test_redeliveries_are_numbered_and_the_last_twenty_kept() -> None:
    one = webhook()
    one.when(request_redelivery, from_revision=3, to_revision=5).then(
        facts.RedeliveryRequested(number=1, from_revision=3, to_revision=5)
    )
    one.given(*(facts.RedeliveryRequested(number=n, from_revision=1, to_revision=2) for n in range(1, 31)))
    assert [item.number for item in one.state.redeliveries] == list(range(11, 31))
    one.when(request_redelivery, from_revision=1, to_revision=1).then(
        facts.RedeliveryRequested(number=31, from_revision=1, to_revision=1)
    )


def test_a_rotation_names_the_secret_and_its_key() -> None:
    webhook().when(rotate_secret, overlap=timedelta(hours=1), key_id="k2", now=NOW).then(
        rotated(2, key_id="k2", until=NOW + timedelta(hours=1))
    )


def test_a_fact_of_an_unknown_kind_keeps_its_bytes() -> None:
    fact = webhook().facts[0]
    assert cloud_event(fact, 7)["data"]["settings"]["url"] == URL
    strange = Fact(id="a", resource=NAME)
    strange.event.type_url, strange.event.value = "type.googleapis.com/modelog.registry.v2.Later", b"\x01"
    event = cloud_event(strange, 8)
    assert (event["type"], event["data_base64"], "data" in event) == ("modelog.registry.v2.Later", "AQ==", False)
