"""Answers of two versions to the same requests, joined row by row as telemetry of both arrives, in bounded memory."""

import math
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch, TelemetryColumn

_TOLERANCE = 1e-6
_MOST_VALUES = 200_000
_MOST_BATCH_IDS = 4096
_WAIT_SECONDS = 15.0

Value = float | str


class _Row(NamedTuple):
    """One version's answer, which waits for the other's since `at`, in seconds of any clock."""

    outputs: tuple[tuple[str, Value], ...]
    at: float


class Answers:
    """Compares the answers of `shadow` with those of any other version. tolerance: see Shadow.tolerance; 0 for 1e-6.

    A row whose other half does not come within 15 s, or before 200,000 values wait, is given up: of the shadow it
    counts as answered by the shadow only; of the serving version it most likely was not mirrored.
    """

    def __init__(self, shadow: str, tolerance: float) -> None:
        self._shadow = shadow
        self._tolerance = tolerance or _TOLERANCE
        self._waiting: tuple[OrderedDict[str, _Row], OrderedDict[str, _Row]] = (OrderedDict(), OrderedDict())
        self._values = 0
        self._batches: deque[str] = deque(maxlen=_MOST_BATCH_IDS)
        self._equal = self._different = self._alone = self._dropped = 0
        self._numbers, self._sum, self._max = 0, 0.0, 0.0

    def take(self, batch: PredictionBatch, now: float) -> None:
        """Compares what can be compared by now. A batch that comes twice counts once; one that is broken not at all."""
        if batch.batch_id in self._batches:
            return
        self._batches.append(batch.batch_id)
        self._dropped += batch.dropped_rows
        side = int(batch.version == self._shadow)
        mine, others = self._waiting[side], self._waiting[1 - side]
        for row_id, outputs in _rows(batch):
            other = others.pop(row_id, None)
            if other is None:
                self._values += len(outputs)
                mine[row_id] = _Row(outputs, now)
                continue
            self._values -= len(other.outputs)
            self._compare(*((other.outputs, outputs) if side else (outputs, other.outputs)))
        self.give_up(now)

    def give_up(self, now: float) -> None:
        """Lets go of rows that have waited too long, or that are too many."""
        for side, rows in enumerate(self._waiting):
            while rows and now - next(iter(rows.values())).at > _WAIT_SECONDS:
                self._let_go(side)
        while self._values > _MOST_VALUES:
            self._let_go(int(len(self._waiting[1]) > len(self._waiting[0])))

    def _let_go(self, side: int) -> None:
        _, row = self._waiting[side].popitem(last=False)
        self._values -= len(row.outputs)
        self._alone += side

    def _compare(self, served: Sequence[tuple[str, Value]], mirrored: Sequence[tuple[str, Value]]) -> None:
        other = dict(mirrored)
        same = other.keys() == {name for name, _ in served}
        for name, value in served:
            same &= name in other and self._agrees(value, other[name])
        self._equal += int(same)
        self._different += int(not same)

    def _agrees(self, served: Value, mirrored: Value) -> bool:
        if not isinstance(served, float) or not isinstance(mirrored, float):
            return served == mirrored
        if math.isnan(served) or math.isnan(mirrored):
            return math.isnan(served) and math.isnan(mirrored)
        if served == mirrored:  # Also where both are the same infinity, whose difference is none.
            self._numbers += 1
            return True
        difference = abs(served - mirrored)
        if math.isfinite(difference):
            self._numbers += 1
            self._sum += difference
            self._max = max(self._max, difference)
        return difference <= self._tolerance * max(1.0, abs(served)) and math.isfinite(difference)

    def comparison(self) -> ShadowComparison:
        """What was seen so far."""
        return ShadowComparison(
            compared=self._equal + self._different,
            equal=self._equal,
            different=self._different,
            only_shadow=self._alone,
            dropped=self._dropped,
            max_difference=self._max,
            mean_difference=self._sum / self._numbers if self._numbers else 0.0,
        )


def _rows(batch: PredictionBatch) -> Iterator[tuple[str, tuple[tuple[str, Value], ...]]]:
    """(prediction id, outputs by name) of each row; none where a column has not one value a row."""
    count = len(batch.prediction_ids)
    columns = [(one.name, _values(one)) for one in batch.outputs]
    if any(len(values) != count for _, values in columns):
        return
    for index, row_id in enumerate(batch.prediction_ids):
        yield row_id, tuple((name, values[index]) for name, values in columns)


def _values(column: TelemetryColumn) -> Sequence[Value]:
    return column.numbers or column.strings
