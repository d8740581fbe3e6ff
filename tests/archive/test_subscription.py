"""The subscription: what may be asked for, and what its facts make of it."""

import pytest

from kernel.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from modelog.archive.v1 import subscription_events_pb2 as facts
from modelog.archive.v1 import subscriptions_pb2 as types
from modelog.archive.v1.types_pb2 import FactFilter
from services.archive.domain import SUBSCRIPTION, subscription
from testkit.scenario import Life, life

NAME = "projects/risk/subscriptions/warehouse"
RISK = "projects/risk"


def created(**settings: object) -> Life:
    whole = subscription.complete(types.SubscriptionSettings(**settings), RISK)  # type: ignore[arg-type]
    return life(SUBSCRIPTION, NAME).given(facts.SubscriptionCreated(settings=whole, from_revision=7))


def test_a_new_one_says_everything_it_goes_by() -> None:
    event = subscription.create(
        types.Subscription(), project=RISK, settings=types.SubscriptionSettings(), from_revision=3
    )
    assert isinstance(event, facts.SubscriptionCreated)
    assert event.from_revision == 3
    assert event.settings.max_batches == 1
    assert event.settings.acknowledge_within.seconds == 60
    assert list(event.settings.filter.projects) == [RISK]


def test_facts_of_another_project_take_a_subscription_to_all_of_them() -> None:
    settings = types.SubscriptionSettings(filter=FactFilter(projects=["projects/credit"]))
    with pytest.raises(Invalid, match="projects/all"):
        subscription.complete(settings, RISK)
    everywhere = subscription.complete(settings, "projects/all")
    assert list(everywhere.filter.projects) == ["projects/credit"]
    assert not subscription.complete(types.SubscriptionSettings(), "projects/all").filter.projects


def test_its_life() -> None:
    one = created().state
    assert (one.state, one.from_revision, one.starts) == (types.SUBSCRIPTION_STATE_ACTIVE, 7, 1)
    with pytest.raises(AlreadyExists):
        subscription.create(one, project=RISK, settings=one.settings, from_revision=1)
    assert subscription.resume(one) is None
    assert subscription.change(one, project=RISK, settings=types.SubscriptionSettings()) is None
    changed = subscription.change(one, project=RISK, settings=types.SubscriptionSettings(max_batches=4))
    assert isinstance(changed, facts.SubscriptionChanged)
    rewound = created().given(facts.SubscriptionRewound(from_revision=2)).state
    assert (rewound.from_revision, rewound.starts) == (2, 2)


def test_paused_hands_out_nothing_and_removed_is_gone() -> None:
    paused = created().given(facts.SubscriptionPaused()).state
    assert subscription.pause(paused) is None
    with pytest.raises(NotAllowedNow, match="resume"):
        subscription.handing_out(paused)
    removed = created().given(facts.SubscriptionRemoved()).state
    assert subscription.remove(removed) is None
    for verb in (subscription.pause, subscription.resume, subscription.handing_out):
        with pytest.raises(NotAllowedNow, match="removed"):
            verb(removed)
    with pytest.raises(NotFound):
        subscription.pause(types.Subscription())
