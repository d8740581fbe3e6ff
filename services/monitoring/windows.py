"""How rows are cut into windows. Pure: the same rows in the same order make the same windows, whoever replays them.

A lane is the sequence of windows of one monitor, version, track and segment. Windows by count are filled one after the
other to the row; windows by time are aligned to multiples of their size, may be open side by side, and close when
event time has passed their end by the lateness. Of windows that slide a lane fills the steps, and
`sliding` merges these, so that a row is counted once however many windows hold it. Times are whole microseconds since
1970.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelog.monitoring.v1 import types_pb2 as types
from modelog.monitoring.v1.service_counts_pb2 import ServiceCounts
from services.monitoring.forest import Outliers
from services.monitoring.losses import Losses
from services.monitoring.pieces import Piece, counted
from services.monitoring.profile import Layout, merge
from services.monitoring.sampling import Sampling
from services.monitoring.service import merge_service

MICROSECONDS = 1_000_000
PROFILES = 3  # What profiles hold; windows begun when they held less are closed as they are.


@dataclass(frozen=True)
class Plan:
    """What one monitor wants of telemetry, as of now. sensitive: the columns whose groups are counted, ascending.

    beside: what is counted beside columns, as `beside_of` tells it."""

    monitor: str
    window: types.WindowSpec
    baseline_digest: str
    layout: Layout
    prediction_column: str
    tracks: frozenset[types.Track]
    losses: Losses | None = None
    sensitive: tuple[str, ...] = ()
    queries: bool = False
    beside: tuple[str, ...] = ()
    outliers: Outliers | None = None
    sampling: Sampling | None = None

    @property
    def terms(self) -> str:
        """Windows opened under other terms are not filled any further."""
        return terms_of(self.window, self.baseline_digest, self.beside)

    @property
    def filled_rows(self) -> int:
        """Rows in what a lane fills: a step, or the whole window."""
        return self.window.step_rows or self.window.size_rows

    @property
    def filled_seconds(self) -> int:
        return self.window.step_seconds or self.window.size_seconds


def terms_of(window: types.WindowSpec, baseline_digest: str, beside: Sequence[str]) -> str:
    """What windows have in common that may be merged or compared with each other. beside: see Plan."""
    terms = f"{baseline_digest}/{window.size_rows}/{window.size_seconds}/{PROFILES}"
    more = [window.step_rows, window.step_seconds, int(window.versions_together)]
    sampled = (f"sample={window.sample_rows}",) if window.sample_rows else ()
    return "/".join((terms, *(str(one) for one in more if any(more)), *sampled, *beside))


class Rows(NamedTuple):
    """Rows to be counted. position: of their batch in the stream. profiles: of the rows from start to stop, or what
    they are made of later."""

    rows: int
    start: int
    end: int
    position: int
    profiles: Callable[[int, int], types.ProfileSet | Piece]
    dropped_rows: int = 0
    failed_requests: int = 0
    service: ServiceCounts | None = None


@dataclass
class OpenWindow:
    """A window and what it has counted. Its first row names it: position of the batch, and which row of the batch.

    pieces: what is counted by `settle`, to be called before profiles are looked at.
    """

    position: int
    offset: int
    start: int
    end: int
    terms: str
    baseline_digest: str
    profiles: types.ProfileSet
    closed: bool = False
    pieces: list[Piece] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.profiles.rows + sum(one.rows for one in self.pieces)

    def settle(self) -> None:
        """Counts what waits for it."""
        if self.pieces:
            self.profiles = merge(self.profiles, counted(self.pieces))
            self.pieces.clear()


@dataclass
class Lane:
    """The windows of one monitor, version, track and segment. closed_until: event time up to which there are no more
    by time."""

    monitor: str
    version: str
    track: types.Track
    closed_until: int = 0
    newest: int = 0
    late_rows: int = 0
    windows: list[OpenWindow] = field(default_factory=list)
    changed: bool = False
    segment: str = ""

    def add(self, plan: Plan, rows: Rows) -> None:
        """Counts rows into the windows they belong to, and closes what is complete."""
        self.changed = True
        self.newest = max(self.newest, rows.start)
        self._close_other_terms(plan)
        if plan.filled_seconds:
            self._add_by_time(plan, rows)
            self.close_until(plan, self.newest)
        else:
            self._add_by_count(plan, rows)

    def close_until(self, plan: Plan, now: int) -> None:
        """Closes windows by time whose end, with the lateness, is not after `now`, and those of other terms."""
        self._close_other_terms(plan)
        if not plan.filled_seconds:
            return
        limit = now - plan.window.lateness_seconds * MICROSECONDS
        for window in self._open():
            if window.end <= limit:
                self._close(window)
                self.closed_until = max(self.closed_until, window.end)

    def close_empty(self, plan: Plan, now: int, *, answering: bool) -> None:
        """Closes the newest complete window by time when nothing came for it; empty ones before it are passed over.

        To be called when `close_until` has closed what is complete. Windows that ended before the lane began, or while
        its version did not answer, are not its own.
        """
        size = plan.filled_seconds * MICROSECONDS
        if not size:
            return
        end = (now - plan.window.lateness_seconds * MICROSECONDS) // size * size
        if self.closed_until >= end:
            return
        if self.closed_until and answering:
            window = OpenWindow(0, 0, end - size, end, plan.terms, plan.baseline_digest, types.ProfileSet())
            self.windows.append(window)
            self._close(window)
        self.closed_until, self.changed = end, True

    def _close_other_terms(self, plan: Plan) -> None:
        for window in self._open():
            if window.terms != plan.terms:
                self._close(window)

    def _add_by_time(self, plan: Plan, rows: Rows) -> None:
        size = plan.filled_seconds * MICROSECONDS
        start = rows.start // size * size
        if start + size <= self.closed_until:
            self.late_rows += rows.rows
            return
        window = next((one for one in self._open() if one.start == start), None)
        if window is None:
            window = self._opened(plan, rows, 0, start, start + size)
        self._count(window, rows, 0, rows.rows)
        _note_losses(window, rows)

    def _add_by_count(self, plan: Plan, rows: Rows) -> None:
        first: OpenWindow | None = None
        offset = 0
        while offset < rows.rows or first is None:
            window = next(iter(self._open()), None) or self._opened(plan, rows, offset, rows.start, rows.end)
            window.start, window.end = min(window.start, rows.start), max(window.end, rows.end)
            taken = min(plan.filled_rows - window.rows, rows.rows - offset)
            self._count(window, rows, offset, offset + taken)
            if first is None:
                first = window
                _note_losses(window, rows)
            offset += taken
            if window.rows >= plan.filled_rows:
                self._close(window)

    def _count(self, window: OpenWindow, rows: Rows, start: int, stop: int) -> None:
        if stop > start:
            part = rows.profiles(start, stop)
            if isinstance(part, Piece):
                window.pieces.append(part)
            else:
                window.profiles = merge(window.profiles, part)
            window.profiles.newest_microseconds = max(window.profiles.newest_microseconds, rows.end)

    def _open(self) -> list[OpenWindow]:
        return [window for window in self.windows if not window.closed]

    def _opened(self, plan: Plan, rows: Rows, offset: int, start: int, end: int) -> OpenWindow:
        window = OpenWindow(rows.position, offset, start, end, plan.terms, plan.baseline_digest, types.ProfileSet())
        self.windows.append(window)
        return window

    def _close(self, window: OpenWindow) -> None:
        window.closed = self.changed = True
        window.profiles.late_rows += self.late_rows
        self.late_rows = 0


def _note_losses(window: OpenWindow, rows: Rows) -> None:
    window.profiles.dropped_rows += rows.dropped_rows
    window.profiles.failed_requests += rows.failed_requests
    if rows.service is not None:
        merge_service(window.profiles, rows.service)
