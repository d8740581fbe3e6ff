"""Which facts of a log speak of a resource: its own, and those of others that name it. Pure."""

from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf.message import Message

from modelog.packs.saying import kind_of, resource_of
from modelog.sdk.facts import Entry

# Resources that are about one thing all their life: one fact that names it brings all of their facts in.
_WHOLE = frozenset("rollouts alerts retrainings retirements records holds".split())
_FAILED = "OUTCOME_FAILED"


def about(entries: Iterable[Entry], names: Collection[str]) -> list[Entry]:
    """The facts of these resources, of everything below them, and of what names one of them; in order of the log."""
    known = list(entries)
    naming = {entry.revision for entry in known if speaks_of(entry, names)}
    whole = {resource_of(entry) for entry in known if entry.revision in naming and _is_whole(resource_of(entry))}
    return [entry for entry in known if entry.revision in naming or resource_of(entry) in whole]


def speaks_of(entry: Entry, names: Collection[str]) -> bool:
    if within(resource_of(entry), names):
        return True
    return entry.event is not None and _names(entry.event, names)


def within(name: str, names: Collection[str]) -> bool:
    """Whether a name is one of these or below one."""
    return any(name == one or name.startswith(f"{one}/") for one in names)


def notable(entries: Iterable[Entry]) -> list[Entry]:
    """Without the windows in which every check held and nothing began or ended: these are only counted."""
    return [entry for entry in entries if kind_of(entry) != "WindowEvaluated" or not _passed(entry.event)]


def between(entries: Iterable[Entry], start: float, end: float) -> list[Entry]:
    """Recorded at or after `start` and before `end`, in seconds since 1970."""
    return [
        entry
        for entry in entries
        if entry.fact is not None and start <= entry.fact.recorded_at.ToNanoseconds() / 1e9 < end
    ]


def _is_whole(name: str) -> bool:
    parts = name.split("/")
    return len(parts) >= 2 and parts[-2] in _WHOLE


def _names(message: Message, names: Collection[str]) -> bool:
    for field, value in message.ListFields():
        several: Iterable[Any] = value if field.is_repeated else (value,)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            several = value.values()
        for one in several:
            if _names(one, names) if isinstance(one, Message) else isinstance(one, str) and within(one, names):
                return True
    return False


def _passed(event: Any) -> bool:
    if event is None or event.opened or event.closed or event.joined:
        return False
    return not any(_outcome(one) == _FAILED for one in event.results)


def _outcome(result: Any) -> str:
    known = result.DESCRIPTOR.fields_by_name["outcome"].enum_type.values_by_number.get(result.outcome)
    return known.name if known else ""
