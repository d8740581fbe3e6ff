"""What an import came to, one line for each thing that was looked at."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

IMPORTED, THERE, SKIPPED, WOULD = "imported", "already there", "skipped", "would be imported"


@dataclass(frozen=True, slots=True)
class Line:
    """kind: model, version, evaluation, alias or tags. source: its name at the tracking server. name: here.

    reason and message: why it was skipped. notes: what of it was left out.
    """

    kind: str
    source: str
    outcome: str
    name: str = ""
    reason: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Report:
    """Lines in the order of happening; safe to add to from threads."""

    server: str
    project: str
    lines: list[Line] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, line: Line) -> None:
        with self._lock:
            self.lines.append(line)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each kind came to what."""
        counted = Counter((line.kind, line.outcome) for line in self.lines)
        kinds = dict.fromkeys(line.kind for line in self.lines)
        return {kind: {one: n for (of, one), n in counted.items() if of == kind} for kind in kinds}

    def skipped(self) -> Iterable[Line]:
        return (line for line in self.lines if line.outcome == SKIPPED)

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "server": self.server,
            "project": self.project,
            "counts": self.counts(),
            "lines": [{key: value for key, value in asdict(line).items() if value} for line in self.lines],
        }
