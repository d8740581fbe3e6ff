"""What a document consists of, before it is written in some format: sections of texts, tables and charts."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Link:
    """A text that leads somewhere, where the address is one that may be followed."""

    text: str
    uri: str


@dataclass(frozen=True)
class Code:
    """A digest, a path or a name, in letters of equal width."""

    text: str


Value = str | Link | Code


@dataclass(frozen=True)
class Text:
    """What people wrote: paragraphs between empty lines; lines that begin with `- ` are points."""

    body: str
    title: str = ""


@dataclass(frozen=True)
class Fields:
    """Names with their values."""

    rows: Sequence[tuple[str, Value]]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """folded: only of interest beside the chart before it. points: nothing but points of a curve, which fill pages."""

    head: Sequence[str]
    rows: Sequence[Sequence[Value]]
    title: str = ""
    folded: bool = False
    points: bool = False


@dataclass(frozen=True)
class Mark:
    """One line of a chart of values: a value, and the interval it may lie in."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Marks:
    """Values side by side on one axis. against_first: the first is what the others are seen against.

    from_zero: the axis begins with 0, as it should for counts."""

    title: str
    marks: Sequence[Mark]
    unit: str = ""
    against_first: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class Line:
    """A curve in the unit square. sizes: rows behind each point, if known. diagonal: what to compare with."""

    title: str
    x_title: str
    y_title: str
    x: Sequence[float]
    y: Sequence[float]
    sizes: Sequence[int] = ()
    diagonal: str = ""


@dataclass(frozen=True)
class Matrix:
    """Counts by true label and by predicted label."""

    title: str
    labels: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Pair:
    """A part of a distribution with its share before and after, 0..1."""

    label: str
    before: float
    after: float


@dataclass(frozen=True)
class Bars:
    """Shares of the same parts before and after, side by side. names: of before and after.

    edges: of parts that follow each other what stands between them, one more than parts and "" at an open end; or what
    stands below each, as many as parts. Without edges each part is a line of its own with its label.
    """

    title: str
    pairs: Sequence[Pair]
    names: tuple[str, str]
    edges: Sequence[str] = ()


@dataclass(frozen=True)
class Point:
    """A value at a moment (seconds since 1970), if there was one, and the interval it may lie in. bad: it failed."""

    at: float
    value: float | None
    low: float | None = None
    high: float | None = None
    bad: bool = False


@dataclass(frozen=True)
class Run:
    """One line of a chart over time; by time."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Span:
    """From one moment to another something held; to the end of the chart when there is no end."""

    label: str
    start: float
    end: float | None


@dataclass(frozen=True)
class Moment:
    """Something happened."""

    label: str
    at: float


@dataclass(frozen=True)
class Course:
    """Values over time. limit: what they are held against, from moments on. from_zero: the axis begins with 0.

    start, end: what time is shown. spans: when alerts were open. moments: deployments.
    """

    title: str
    y_title: str
    runs: Sequence[Run]
    start: float
    end: float
    limit: Sequence[tuple[float, float]] = ()
    spans: Sequence[Span] = ()
    moments: Sequence[Moment] = ()
    from_zero: bool = False


Chart = Marks | Line | Matrix | Bars | Course


@dataclass(frozen=True)
class Group:
    """Charts that stand side by side."""

    charts: Sequence[Chart]


Block = Text | Fields | Table | Group


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = field(default_factory=tuple)

    def __bool__(self) -> bool:
        return bool(self.blocks) or any(self.sections)


@dataclass(frozen=True)
class Document:
    """title and subtitle: what it is about. facts: what matters most, in a few words each."""

    title: str
    subtitle: str
    summary: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    closing: str
