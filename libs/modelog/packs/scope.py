"""Which facts a pack rests on: the same when it is made and when somebody checks that none is left out. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.packs.saying import kind_of, resource_of
from modelog.sdk.facts import Entry

# Resources that are about one thing all their life: one fact that names it brings all of their facts in.
_WHOLE = frozenset("rollouts monitors alerts retrainings retirements records holds".split())
# But what a monitor says of another version, which the same endpoint served, is not about this one.
_BY_NAME_ONLY = frozenset(("WindowEvaluated", "VersionReplaced"))
_FAILED = "OUTCOME_FAILED"
# Rules of a project: they name no model, and decide about all of them.
RULES = ("PolicySet", "LifecycleSet", "RetentionSet", "RetentionRemoved")


@dataclass(frozen=True)
class Selection:
    """All conditions have to hold; an empty one always does. It stands in the manifest, so that it can be run again.

    projects: of facts. kinds: of facts, by the last part of their names. names: what the facts have to speak of;
    rules: kinds of facts that are taken in whatever they speak of. start, end: recorded at or after, and before;
    RFC 3339.
    """

    projects: Sequence[str]
    kinds: Sequence[str] = ()
    names: Sequence[str] = ()
    rules: Sequence[str] = ()
    start: str = ""
    end: str = ""

    def of(self, facts: Iterable[Entry]) -> list[Entry]:
        """The facts of a pack among those of a log, in order of the log."""
        return notable(self.during(self.whole(facts)))

    def whole(self, facts: Iterable[Entry]) -> list[Entry]:
        """Whenever they were recorded, and windows in which nothing happened too."""
        known = [entry for entry in facts if within(resource_of(entry), self.projects)]
        chosen = [entry for entry in known if not self.kinds or kind_of(entry) in self.kinds]
        if not self.names:
            return chosen
        named = {entry.revision for entry in about(chosen, self.names)}
        return [entry for entry in chosen if entry.revision in named or kind_of(entry) in self.rules]

    def during(self, facts: Iterable[Entry]) -> list[Entry]:
        start, end = _nanoseconds(self.start, 0), _nanoseconds(self.end, 1 << 63)
        return [one for one in facts if one.fact is not None and start <= one.fact.recorded_at.ToNanoseconds() < end]

    def told(self) -> dict[str, Any]:
        """For the manifest."""
        return {name: list(value) if not isinstance(value, str) else value for name, value in asdict(self).items()}

    @staticmethod
    def read(told: Any) -> "Selection":
        """ValueError, TypeError or AttributeError for what is none."""
        lists = {name: tuple(map(str, told.get(name, ()))) for name in ("projects", "kinds", "names", "rules")}
        made = Selection(**lists, start=str(told.get("start", "")), end=str(told.get("end", "")))
        made.during([])
        return made


def _nanoseconds(time: str, otherwise: int) -> int:
    if not time:
        return otherwise
    stamp = Timestamp()
    stamp.FromJsonString(time)
    return int(stamp.ToNanoseconds())


def about(entries: Iterable[Entry], names: Collection[str]) -> list[Entry]:
    """The facts of these resources, of everything below them, and of what names one of them; in order of the log."""
    known = list(entries)
    naming = {entry.revision for entry in known if speaks_of(entry, names)}
    whole = {resource_of(entry) for entry in known if entry.revision in naming and _of(resource_of(entry), _WHOLE)}
    # A silence names the monitor that it silences, and never what that watches.
    silences = {
        resource_of(entry) for entry in known if _of(resource_of(entry), {"silences"}) and speaks_of(entry, whole)
    }
    return [
        entry
        for entry in known
        if entry.revision in naming or (resource_of(entry) in whole | silences and kind_of(entry) not in _BY_NAME_ONLY)
    ]


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


def _of(name: str, collections: Collection[str]) -> bool:
    parts = name.split("/")
    return len(parts) >= 2 and parts[-2] in collections


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
