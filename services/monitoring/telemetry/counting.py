"""Counts read batches into windows and joins labels with predictions, within one transaction."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.segments import Segments, values_of
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import Outcomes, Predictions
from services.monitoring.telemetry.queries import Key, Waiting
from services.monitoring.telemetry.rows import (
    Beside,
    hashes_of,
    part_of,
    prediction_of,
    rows_of,
    rows_of_pairs,
    texts_of,
)
from services.monitoring.windows import Lane, Plan


class Counting:
    """The lanes of all monitors concerned, while one transaction counts into them."""

    def __init__(
        self, connection: Any, plans: Mapping[str, Sequence[Plan]], lanes: dict[Key, Lane], now: datetime
    ) -> None:
        self._connection = connection
        self._plans = plans
        self._now = now
        self.lanes = lanes
        self._known: dict[str, Segments] = {}

    async def predictions(self, batch: Predictions, position: int) -> None:
        # What nobody was answered is no prediction, and its ids are those of the answer that was given.
        if batch.shadow:
            return
        plans = self._plans.get(batch.endpoint, ())
        for plan in plans:
            if types.TRACK_PREDICTIONS in plan.tracks:
                self._predicted(plan, batch, position)
        labelled = [plan for plan in plans if types.TRACK_LABELS in plan.tracks]
        if labelled and batch.ids:
            await self._await_labels(labelled, batch, position)

    def _predicted(self, plan: Plan, batch: Predictions, position: int) -> None:
        hashes = hashes_of(plan, batch)
        self._lane(plan, batch.version, types.TRACK_PREDICTIONS).add(plan, rows_of(plan, batch, position, hashes))
        for name in plan.window.segment_columns:
            for segment, places in self._segments(plan.monitor).split(name, values_of(name, batch.columns)):
                lane = self._lane(plan, batch.version, types.TRACK_PREDICTIONS, segment)
                parted = None if hashes is None else hashes[places]
                lane.add(plan, rows_of(plan, part_of(batch, places), position, parted))

    def _segments(self, monitor: str) -> Segments:
        if monitor not in self._known:
            lanes = self.lanes.values()
            self._known[monitor] = Segments([one.segment for one in lanes if one.monitor == monitor and one.segment])
        return self._known[monitor]

    async def outcomes(self, batch: Outcomes, position: int) -> None:
        plans = [plan for plan in self._plans.get(batch.endpoint, ()) if types.TRACK_LABELS in plan.tracks]
        labels = {one: label for one, label in zip(batch.ids, batch.labels, strict=True) if label}
        if not plans or not labels:
            return
        found = await queries.take_predictions(self._connection, batch.endpoint, list(labels))
        self._pair(plans, [(one, labels[one.prediction_id]) for one in found], batch.known_at, position, batch)
        joined = {one.prediction_id for one in found}
        early = [(one, label) for one, label in labels.items() if one not in joined]
        if early:
            await queries.keep_outcomes(self._connection, batch.endpoint, early, batch.known_at, self._now)

    async def _await_labels(self, plans: Sequence[Plan], batch: Predictions, position: int) -> None:
        """Rows whose label came first are paired at once; the others wait for it."""
        known = await queries.take_outcomes(self._connection, batch.endpoint, batch.ids)
        labels = {one: label for one, label, _ in known}
        known_at = max([batch.start, *(at for _, _, at in known)])
        waiting: list[Waiting] = []
        segments = _segments_of_rows(plans, batch)
        for wanted in sorted({plan.prediction_column for plan in plans}):
            column = prediction_of(batch.columns, wanted)
            if column is not None:
                rows = zip(batch.ids, texts_of(column), segments, strict=True)
                waiting += [Waiting(one, wanted, batch.version, text, told) for one, text, told in rows]
        self._pair(
            plans,
            [(one, labels[one.prediction_id]) for one in waiting if one.prediction_id in labels],
            known_at,
            position,
        )
        left = [one for one in waiting if one.prediction_id not in labels]
        if left:
            await queries.wait_for_labels(self._connection, batch.endpoint, left, self._now)

    def _pair(
        self,
        plans: Sequence[Plan],
        found: Sequence[tuple[Waiting, str]],
        known_at: int,
        position: int,
        told: Outcomes | None = None,
    ) -> None:
        rows = {one: at for at, one in enumerate(told.ids)} if told else {}
        for plan in plans:
            joined: dict[str, list[tuple[Waiting, str]]] = {}
            for one, label in found:
                if one.wanted == plan.prediction_column and one.value:
                    version = "" if plan.window.versions_together else one.version
                    joined.setdefault(version, []).append((one, label))
            for version in sorted(joined):
                at = known_at or self._lane(plan, version, types.TRACK_PREDICTIONS).newest or 1
                for segment, some in self._by_segment(plan, joined[version]):
                    places = [rows.get(one.prediction_id, -1) for one, _ in some]
                    pairs = [(one.value, label) for one, label in some]
                    lane = self._lane(plan, version, types.TRACK_LABELS, segment)
                    lane.add(plan, rows_of_pairs(plan, pairs, at, position, Beside(told, places)))

    def _by_segment(
        self, plan: Plan, joined: Sequence[tuple[Waiting, str]]
    ) -> Iterator[tuple[str, Sequence[tuple[Waiting, str]]]]:
        """All of them, and those of each segment."""
        yield "", joined
        for name in plan.window.segment_columns:
            values = [one.segments.get(name, "") for one, _ in joined]
            for segment, places in self._segments(plan.monitor).split(name, values):
                yield segment, [joined[at] for at in places.tolist()]

    def settle(self) -> None:
        """Counts what was put into windows; the bulk of the work, and it touches neither connection nor clock."""
        for lane in self.lanes.values():
            for window in lane.windows:
                window.settle()

    def _lane(self, plan: Plan, version: str, track: types.Track, segment: str = "") -> Lane:
        answered = "" if plan.window.versions_together else version
        key = (plan.monitor, answered, track, segment)
        if key not in self.lanes:
            self.lanes[key] = Lane(plan.monitor, answered, track, segment=segment)
        return self.lanes[key]


def _segments_of_rows(plans: Sequence[Plan], batch: Predictions) -> list[dict[str, str]]:
    """By column, what tells the segments of each row, as far as a monitor asks for segments."""
    told: list[dict[str, str]] = [{} for _ in batch.ids]
    for name in sorted({name for plan in plans for name in plan.window.segment_columns}):
        for one, value in zip(told, values_of(name, batch.columns), strict=False):
            if value:
                one[name] = value
    return told
