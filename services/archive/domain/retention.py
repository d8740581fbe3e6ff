"""A rule of how long a project's records are kept."""

from google.protobuf.message import Message

from kernel.errors import NotFound, UnknownFact, invalid_field
from modelog.archive.v1 import retention_events_pb2 as facts
from modelog.archive.v1 import retentions_pb2 as types
from modelog.log.v1.fact_pb2 import Fact
from services.archive.domain.choosing import check_filter


def set_rule(rule: types.Retention, *, settings: types.RetentionSettings) -> Message | None:
    """Makes the rule, or replaces all that it says; a removed one counts again."""
    if not settings.WhichOneof("keep") or (settings.WhichOneof("keep") == "for_ever" and not settings.for_ever):
        raise invalid_field("settings.days", "say for how many days, or for_ever", "REQUIRED")
    check_filter(settings.filter, "settings.filter")
    if rule.state == types.RETENTION_STATE_ACTIVE and rule.settings == settings:
        return None
    return facts.RetentionSet(settings=settings)


def remove_rule(rule: types.Retention) -> Message | None:
    if not rule.name:
        raise NotFound("RETENTION_NOT_FOUND", "there is no such rule")
    return None if rule.state == types.RETENTION_STATE_REMOVED else facts.RetentionRemoved()


def evolve_retention(rule: types.Retention, fact: Message, envelope: Fact) -> None:
    match fact:
        case facts.RetentionSet():
            rule.settings.CopyFrom(fact.settings)
            rule.state = types.RETENTION_STATE_ACTIVE
        case facts.RetentionRemoved():
            rule.state = types.RETENTION_STATE_REMOVED
        case _:
            raise UnknownFact(fact)
    rule.set_by = envelope.actor.id
