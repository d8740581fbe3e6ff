"""How long there is something to read of a system: its first fact, the rules by which records expire, and holds."""

from collections.abc import Collection, Sequence
from typing import Any

from modelog.packs.parts import Chapter, Sheet
from modelog.packs.reading import Reading
from modelog.packs.saying import choice, kind_of, second_of, time
from modelog.packs.scope import within
from modelog.pages.drawing import time_word
from modelog.sdk.facts import Entry

_KEEPING = (
    "Both ask that logs under one's control are kept for a time that suits the purpose, of at least six months unless"
    " other law says otherwise. Facts of this log are never deleted; what may expire by rule are artifacts, free text"
    " and the profiles of windows."
)


def keeping(reading: Reading, project: str, names: Collection[str], own: Sequence[Entry]) -> Chapter:
    """names: of the system and its versions. own: its facts, at least one."""
    rules = [one for one in reading.retentions(project) if choice(one, "state") == "active"]
    holds = [one for one in reading.holds(project) if choice(one, "state") == "active" and _holds(one, names)]
    sheets = [_kept(own), _rules(rules), _held(holds)]
    return Chapter("Keeping of the logs: Article 19 and Article 26(6)", _KEEPING, sheets=sheets)


def _holds(hold: Any, names: Collection[str]) -> bool:
    """Whether it may hold something of the system: it names it, something above or below it, or chooses by query."""
    named = any(within(one, names) or any(within(name, [one]) for name in names) for one in hold.resources)
    return named or bool(hold.query)


def _kept(own: Sequence[Entry]) -> Sheet:
    head = ("what", "value")
    first, last = own[0], own[-1]
    days = (second_of(last) - second_of(first)) / 86400
    expired = sum(kind_of(entry) == "RecordExpired" for entry in own)
    rows = [
        ["first fact of the system in the log", f"revision {first.revision}, {time_word(second_of(first))} UTC"],
        ["last one as of this pack", f"revision {last.revision}, {time_word(second_of(last))} UTC"],
        ["days between them", f"{days:.1f}"],
        ["facts of it in that time", str(len(own))],
        ["sealed records that expired", str(expired)],
    ]
    return Sheet("kept", "", head, rows)


def _rules(rules: Sequence[Any]) -> Sheet:
    head = ("rule", "title", "versions that meet", "priority", "kept", "set by", "since")
    rows = [
        [
            one.name,
            one.settings.title,
            one.settings.filter or "all",
            str(one.settings.priority),
            "for ever" if one.settings.for_ever else f"{one.settings.days} days from sealing on",
            one.set_by,
            time(one.update_time),
        ]
        for one in sorted(rules, key=lambda one: (one.settings.priority, one.name))
    ]
    return Sheet("retentions", "Rules by which sealed records expire; what meets none is kept for ever", head, rows)


def _held(holds: Sequence[Any]) -> Sheet:
    head = ("hold", "title", "authority", "resources", "query", "placed by", "since")
    rows = [
        [
            one.name,
            one.title,
            one.authority,
            ", ".join(one.resources),
            one.query,
            one.placed_by,
            time(one.create_time),
        ]
        for one in holds
    ]
    return Sheet("holds", "Legal holds that may cover something of it", head, rows)
