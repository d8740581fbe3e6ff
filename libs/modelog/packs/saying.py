"""Facts in words: what kind, to whom, and what it says in a line."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from modelog.pages.words import tail, word
from modelog.sdk.facts import Entry

HEAD = ("revision", "time", "happened", "resource", "fact", "what", "actor", "for", "reason")
_MOST_CHARACTERS = 240


def kind_of(entry: Entry) -> str:
    """The last part of the name of its event; empty when nobody can read it."""
    return entry.fact.event.type_url.rpartition(".")[2] if entry.fact else ""


def resource_of(entry: Entry) -> str:
    return entry.fact.resource if entry.fact else ""


def second_of(entry: Entry) -> float:
    """When it was recorded, in seconds since 1970; 0 when nobody can read it."""
    return entry.fact.recorded_at.ToNanoseconds() / 1e9 if entry.fact else 0.0


def time(value: Any) -> str:
    """UTC, exact; empty when it was never set."""
    return str(value.ToJsonString()) if value.ByteSize() else ""


def span(start: datetime, end: datetime) -> str:
    """A period in words; from the beginning where it begins with time itself."""
    begun = f"{start:%Y-%m-%d %H:%M}" if start.timestamp() > 0 else "the beginning"
    return f"{begun} to {end:%Y-%m-%d %H:%M} UTC"


def row(entry: Entry) -> list[str]:
    """A line of HEAD. What is unreadable keeps its place: its bytes are proved like any other's."""
    fact = entry.fact
    if fact is None or not fact.resource:
        return [str(entry.revision), "", "", entry.subject, "unreadable", "", "", "", ""]
    return [
        str(entry.revision),
        time(fact.recorded_at),
        time(fact.happened_at),
        fact.resource,
        kind_of(entry),
        told(entry.event) if entry.event is not None else "of a kind that this release does not know",
        fact.actor.id,
        ", ".join(one.id for one in fact.on_behalf_of),
        fact.reason,
    ]


def told(message: Message) -> str:
    """What is set in a message, with the names of the fields, cut at 240 characters: the whole is in facts.jsonl."""
    text = ", ".join(_said(message))
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _said(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if words := _words(field, value):
            yield f"{field.name.replace('_', ' ')}: {words}"


def _words(field: Any, value: Any) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return "; ".join(f"{key} {_one(inner, value[key])}".rstrip() for key in sorted(value))
    return "; ".join(filter(None, (_one(field, each) for each in value))) if field.is_repeated else _one(field, value)


def _one(field: Any, value: Any) -> str:
    """A single value; of a message its plain values, without names."""
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return time(value)
        plain = [one for one in value.ListFields() if one[0].message_type is None and not one[0].is_repeated]
        return " ".join(_one(inner, each) for inner, each in plain)
    if field.enum_type is not None:
        return enum(field.enum_type, value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else tail(str(value))


def enum(kind: Any, number: int) -> str:
    """A value of an enum as a word; numbers of a later release stay numbers."""
    known = kind.values_by_number.get(number)
    return word(known.name, kind.values[0].name.removesuffix("UNSPECIFIED")) if known else str(number)


def choice(message: Any, name: str) -> str:
    """The value of an enum's field as a word; empty when it is not set."""
    value = getattr(message, name)
    return enum(message.DESCRIPTOR.fields_by_name[name].enum_type, value) if value else ""
