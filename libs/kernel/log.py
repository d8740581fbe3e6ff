"""The log's port: what the kernel needs from an append-only log. JetStream and the memory log keep this contract."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class Entry(NamedTuple):
    """One stored message: its position in the log (1..N without hole), its subject and its exact bytes."""

    revision: int
    subject: str
    payload: bytes


class WrongRevision(Exception):
    """The subject's last entry is not the expected one; nothing was appended."""


class SameId(Exception):
    """An entry with this fact id is stored already, with other bytes; nothing was appended."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"stored already at {entry.revision}")
        self.entry = entry


class Unsettled(Exception):
    """No answer in time: the entry may or may not have been appended. The same append settles it."""


class Hole(Exception):
    """The log is not 1..N: its storage broke. Whoever follows it stops here."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the log should go on at {expected} but has {found}")
        self.expected = expected
        self.found = found


class Log(Protocol):
    """An append-only sequence of entries, each on one literal subject."""

    async def append(self, subject: str, payload: bytes, *, expected: int, fact_id: str, event: str) -> int:
        """Appends when the subject's last entry has revision `expected` (0: none), and returns the new revision.

        Appending the same bytes under the same fact id again returns the first revision. Raises WrongRevision, SameId
        or Unsettled.
        """

    async def next(self, subject: str, after: int) -> Entry | None:
        """The first entry of the subject behind revision `after`, never stale."""

    async def head(self) -> int:
        """Revision of the newest entry of the whole log; 0 when empty."""

    async def configuration(self) -> Mapping[str, Any]:
        """How the log is set up, to compare with the pinned configuration (see `pin`)."""

    def follow(self, after: int, *, linger_seconds: float = 0.0, below: str = "") -> AsyncIterator[Sequence[Entry]]:
        """All entries behind `after`, in order, in batches, waiting for more for ever. Raises Hole.

        linger_seconds: the least time between two batches, so that a busy log comes in larger ones. below: only
        subjects below this one, such as `lifecycle.archive`; holes are not seen then.
        """


async def tail(log: Log, subject: str, after: int) -> list[Entry]:
    """Every entry of the subject behind `after`."""
    entries: list[Entry] = []
    while entry := await log.next(subject, entries[-1].revision if entries else after):
        entries.append(entry)
    return entries
