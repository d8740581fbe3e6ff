"""What the log says about one version, picked out of everything gathered for its record. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from kernel.fold import UNREADABLE, event_of
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.log.v1.fact_pb2 import Fact
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import governance_events_pb2 as governance

# Imported so that they can be read: a record tells of findings and checklists as of everything else.
_READ_TOO = (governance,)
# Facts of these collections belong to the record as a whole life once any of them names the version; of others, such as
# monitors that judged window after window, only the facts that name it do.
WHOLE_LIVES = frozenset(("endpoints", "rollouts", "alerts", "retrainings"))


@dataclass(frozen=True, slots=True)
class Told:
    """One readable fact of the record. event is None when its kind is unknown here."""

    revision: int
    payload: bytes
    fact: Fact
    event: Any

    @property
    def time(self) -> str:
        return str(self.fact.recorded_at.ToJsonString())


def told(revision: int, payload: bytes) -> Told | None:
    """None when the payload cannot be read."""
    try:
        fact = Fact.FromString(payload)
    except DecodeError:
        return None
    try:
        event = event_of(fact)
    except UNREADABLE:
        event = None
    return Told(revision, payload, fact, event)


def names_version(event: Message | None, version: str) -> bool:
    """Whether some field of the event, however deep, is exactly this name."""
    return event is not None and any(value == version for value in _strings(event))


def _strings(message: Message) -> Iterator[str]:
    for _, value in message.ListFields():
        values: Iterable[Any]
        if isinstance(value, str | Message):
            values = [value]
        elif isinstance(value, Mapping):
            values = [*value.keys(), *value.values()]
        else:
            values = value if isinstance(value, Sequence) and not isinstance(value, bytes) else []
        for one in values:
            if isinstance(one, str):
                yield one
            elif isinstance(one, Message):
                yield from _strings(one)


def serving_intervals(facts: Iterable[Told], version: str) -> list[dict[str, Any]]:
    """Where the version served, with which share, between which facts, at whose wish and with whose approval."""
    intervals: list[dict[str, Any]] = []
    running: dict[str, dict[str, Any]] = {}
    for one in facts:
        endpoint = one.fact.resource
        if isinstance(one.event, deployment.TrafficShifted):
            began = _began(one, one.event, version)
        elif isinstance(one.event, deployment.EndpointRemoved):
            began = None
        else:
            continue
        before = running.get(endpoint)
        if before and began and before["percent"] == began["percent"]:
            continue
        if before:
            before |= {"to_time": one.time, "to_revision": one.revision}
            del running[endpoint]
        if began:
            running[endpoint] = began
            intervals.append(began)
    return intervals


def _began(one: Told, event: deployment.TrafficShifted, version: str) -> dict[str, Any] | None:
    """The interval that begins with a new split, None when the version has no share in it."""
    percent = next((share.percent for share in event.traffic if share.version == version), 0)
    if not percent:
        return None
    return {
        "endpoint": one.fact.resource,
        "environment": event.environment,
        "percent": percent,
        "from_time": one.time,
        "from_revision": one.revision,
        "rollout": event.rollout,
        "requested_by": event.requested_by,
        "approved_by": list(event.approved_by),
    }


def alerts(facts: Sequence[Told]) -> list[dict[str, Any]]:
    """Each alert of the version with what was done about it."""
    found: dict[str, dict[str, Any]] = {}
    for one in facts:
        if isinstance(one.event, monitoring.AlertRaised):
            found[one.fact.resource] = {"alert": one.fact.resource, "raised": as_dict(one.event), "facts": []}
        if one.fact.resource in found:
            found[one.fact.resource]["facts"].append(
                {"revision": one.revision, "time": one.time, "event": kind_of(one), "by": one.fact.actor.id}
            )
    return list(found.values())


def readable(one: Told) -> dict[str, Any]:
    """The fact for people: the envelope's fields, the event's kind and content."""
    envelope = Fact()
    envelope.CopyFrom(one.fact)
    envelope.ClearField("event")
    line = {"revision": one.revision, **as_dict(envelope), "event_type": kind_of(one)}
    if one.event is not None:
        line["event"] = as_dict(one.event)
    return line


def kind_of(one: Told) -> str:
    return str(one.fact.event.type_url.rpartition("/")[2])


def as_dict(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return value
