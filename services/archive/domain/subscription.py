"""A subscription: what a group of consumers is handed out, and from where. How far it has come is no fact."""

from google.protobuf.message import Message

from access.fold import EVERYWHERE
from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact, invalid_field
from modelog.archive.v1 import subscription_events_pb2 as facts
from modelog.archive.v1 import subscriptions_pb2 as types
from modelog.log.v1.fact_pb2 import Fact

_ACKNOWLEDGE_SECONDS = 60


def create(
    subscription: types.Subscription, *, project: str, settings: types.SubscriptionSettings, from_revision: int
) -> Message:
    """A new one, which begins at `from_revision`."""
    if subscription.name:
        raise AlreadyExists("SUBSCRIPTION_EXISTS", f"{subscription.name} exists; update or rewind it")
    return facts.SubscriptionCreated(settings=complete(settings, project), from_revision=from_revision)


def change(subscription: types.Subscription, *, project: str, settings: types.SubscriptionSettings) -> Message | None:
    present(subscription)
    wanted = complete(settings, project)
    return None if wanted == subscription.settings else facts.SubscriptionChanged(settings=wanted)


def pause(subscription: types.Subscription) -> Message | None:
    present(subscription)
    return None if subscription.state == types.SUBSCRIPTION_STATE_PAUSED else facts.SubscriptionPaused()


def resume(subscription: types.Subscription) -> Message | None:
    present(subscription)
    return None if subscription.state == types.SUBSCRIPTION_STATE_ACTIVE else facts.SubscriptionResumed()


def rewind(subscription: types.Subscription, *, from_revision: int) -> Message:
    """Asked for twice it is recorded twice: what was handed out in between is to come again."""
    present(subscription)
    return facts.SubscriptionRewound(from_revision=from_revision)


def remove(subscription: types.Subscription) -> Message | None:
    if not subscription.name:
        raise _missing()
    return None if subscription.state == types.SUBSCRIPTION_STATE_REMOVED else facts.SubscriptionRemoved()


def present(subscription: types.Subscription) -> None:
    """Refuses one that is not there, or not any more."""
    if not subscription.name:
        raise _missing()
    if subscription.state == types.SUBSCRIPTION_STATE_REMOVED:
        raise NotAllowedNow("SUBSCRIPTION_REMOVED", f"{subscription.name} was removed; create another one")


def handing_out(subscription: types.Subscription) -> None:
    """Refuses unless it hands out facts."""
    present(subscription)
    if subscription.state == types.SUBSCRIPTION_STATE_PAUSED:
        raise NotAllowedNow("SUBSCRIPTION_PAUSED", f"{subscription.name} is paused; resume it first")


def complete(settings: types.SubscriptionSettings, project: str) -> types.SubscriptionSettings:
    """With every default written out; Invalid where it asks for facts of other projects."""
    whole = types.SubscriptionSettings()
    whole.CopyFrom(settings)
    if project != EVERYWHERE:
        others = [one for one in whole.filter.projects if one != project]
        if others:
            raise invalid_field(
                "settings.filter.projects",
                f"{others[0]} is not {project}; create the subscription in {EVERYWHERE}",
                "OTHER_PROJECT",
            )
        whole.filter.projects[:] = [project]
    if not whole.HasField("acknowledge_within"):
        whole.acknowledge_within.FromSeconds(_ACKNOWLEDGE_SECONDS)
    whole.max_batches = whole.max_batches or 1
    return whole


def _missing() -> NotFound:
    return NotFound("SUBSCRIPTION_NOT_FOUND", "there is no such subscription")


def evolve_subscription(subscription: types.Subscription, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.SubscriptionCreated():
            subscription.settings.CopyFrom(fact.settings)
            subscription.state = types.SUBSCRIPTION_STATE_ACTIVE
            subscription.created_by = envelope.actor.id
            _begin(subscription, fact.from_revision)
        case facts.SubscriptionChanged():
            subscription.settings.CopyFrom(fact.settings)
        case facts.SubscriptionPaused():
            subscription.state = types.SUBSCRIPTION_STATE_PAUSED
        case facts.SubscriptionResumed():
            subscription.state = types.SUBSCRIPTION_STATE_ACTIVE
        case facts.SubscriptionRewound():
            _begin(subscription, fact.from_revision)
        case facts.SubscriptionRemoved():
            subscription.state = types.SUBSCRIPTION_STATE_REMOVED
        case _:
            raise UnknownFact(fact)


def _begin(subscription: types.Subscription, from_revision: int) -> None:
    subscription.from_revision = from_revision
    subscription.starts += 1
