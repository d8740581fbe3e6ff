"""What a comparison found: in which store, what, and at which revisions. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Store(StrEnum):
    """Where something is wrong."""

    LOG = "LOG"
    COPY = "COPY"
    TREE = "TREE"
    CHECKPOINTS = "CHECKPOINTS"
    WITNESS = "WITNESS"
    KEYS = "KEYS"
    VIEW = "VIEW"


class Finding(NamedTuple):
    """code: MISSING, CHANGED, MOVED, INSERTED, CUT, or CONTRADICTION where something signed does not fit the facts.

    revision and last: the first and last revision it is about, or the size of a checkpoint; 0 where there is none.
    """

    store: Store
    code: str
    message: str
    revision: int = 0
    last: int = 0


@dataclass
class Report:
    """The outcome of one comparison: how many facts and signed heads, and what differs."""

    size: int = 0
    checkpoints: int = 0
    findings: list[Finding] = field(default_factory=list)

    def found(self, store: Store, code: str, message: str, revision: int = 0, last: int = 0) -> None:
        self.findings.append(Finding(store, code, message, revision, last or revision))


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """Neighbouring revisions with the same trouble as one finding, in order of stores and revisions."""
    result: list[Finding] = []
    for one in sorted(set(findings), key=lambda one: (one.store, one.code, one.message, one.revision)):
        before = result[-1] if result else None
        alike = before and before[:3] == one[:3] and one.revision and before.last + 1 == one.revision
        if before and alike:
            result[-1] = before._replace(last=one.last)
        else:
            result.append(one)
    return sorted(result, key=lambda one: (list(Store).index(one.store), one.revision, one.code))
