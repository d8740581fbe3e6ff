"""What an evidence pack consists of before it is written: pages for people, and states and facts as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from modelog.packs.scope import Selection
from modelog.pages.parts import Chart
from modelog.sdk.facts import Entry


@dataclass(frozen=True)
class Sheet:
    """A table: on the page, and in data/ as CSV and as JSON under `name`. folded: only opened by who wants it."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Chapter:
    """A section of the page. Without body, charts and rows it is left out."""

    title: str
    body: str = ""
    charts: Sequence[Chart] = ()
    sheets: Sequence[Sheet] = ()


@dataclass(frozen=True)
class Content:
    """All of a pack but its evidence. The same content always makes the same bytes.

    kind: inventory, model, ai-act or access. subject: what was asked about, by full name; `projects/-` for all.
    revision: everything is as of this one. facts: what matters most, in a few words each. states: messages by the
    name of their file. documents: pages of their own by their paths. selection: which facts it rests on; entries:
    these facts, each of which is proved.
    """

    kind: str
    subject: str
    revision: int
    title: str
    subtitle: str
    summary: str
    facts: Sequence[tuple[str, str]]
    chapters: Sequence[Chapter]
    selection: Selection
    entries: Sequence[Entry]
    states: Mapping[str, Sequence[Message]] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
