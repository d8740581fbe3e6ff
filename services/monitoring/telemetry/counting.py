"""Counts read batches into windows and joins labels with predictions, within one transaction."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.groups import Row, count_groups
from services.monitoring.performance import Pair, count_pairs, text_of
from services.monitoring.profile import Column, count
from services.monitoring.ranking import count_queries, gains_of
from services.monitoring.telemetry import queries
from services.monitoring.telemetry.batches import Outcomes, Predictions, Sensitive
from services.monitoring.telemetry.queries import Key, Waiting
from services.monitoring.windows import Lane, Plan, Rows


class Counting:
    """The lanes of all monitors concerned, while one transaction counts into them."""

    def __init__(
        self, connection: Any, plans: Mapping[str, Sequence[Plan]], lanes: dict[Key, Lane], now: datetime
    ) -> None:
        self._connection = connection
        self._plans = plans
        self._now = now
        self.lanes = lanes

    async def predictions(self, batch: Predictions, position: int) -> None:
        plans = self._plans.get(batch.endpoint, ())
        for plan in plans:
            if types.TRACK_PREDICTIONS in plan.tracks:
                self._lane(plan, batch.version, types.TRACK_PREDICTIONS).add(plan, _rows_of(plan, batch, position))
        labelled = [plan for plan in plans if types.TRACK_LABELS in plan.tracks]
        if labelled and batch.ids:
            await self._await_labels(labelled, batch, position)

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
        for wanted in sorted({plan.prediction_column for plan in plans}):
            column = _prediction(batch.columns, wanted)
            if column is not None:
                texts = [text_of(value) for value in (column.strings or column.numbers.tolist())]
                pairs = zip(batch.ids, texts, strict=True)
                waiting += [Waiting(one, wanted, batch.version, text) for one, text in pairs]
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
            pairs: dict[str, list[Pair]] = {}
            places: dict[str, list[int]] = {}
            for one, label in found:
                if one.wanted == plan.prediction_column and one.value:
                    pairs.setdefault(one.version, []).append((one.value, label))
                    places.setdefault(one.version, []).append(rows.get(one.prediction_id, -1))
            for version in sorted(pairs):
                lane = self._lane(plan, version, types.TRACK_LABELS)
                at = known_at or self._lane(plan, version, types.TRACK_PREDICTIONS).newest or 1
                lane.add(plan, _rows_of_pairs(plan, pairs[version], at, position, _Beside(told, places[version])))

    def _lane(self, plan: Plan, version: str, track: types.Track) -> Lane:
        key = (plan.monitor, version, track)
        if key not in self.lanes:
            self.lanes[key] = Lane(plan.monitor, version, track)
        return self.lanes[key]


def _prediction(columns: Sequence[Column], wanted: str) -> Column | None:
    """The output column of that name; the first one when none is named."""
    outputs = (one for one in columns if one.role == types.COLUMN_ROLE_OUTPUT)
    return next((one for one in outputs if wanted in ("", one.name)), None)


def _rows_of(plan: Plan, batch: Predictions, position: int) -> Rows:
    def profiles(start: int, stop: int) -> types.ProfileSet:
        columns = [one.part(start, stop) for one in batch.columns]
        counted = count(columns, plan.layout, stop - start)
        if plan.losses is not None:
            counted.expected_errors.CopyFrom(plan.losses.expected(columns, stop - start))
        if plan.sensitive and predicted is not None:
            said = [text_of(one) for one in (predicted.strings or predicted.numbers.tolist())[start:stop]]
            pairs = [(one, "") for one in said]
            _count_sensitive(counted, plan, batch.sensitive, pairs, range(start, stop))
        return counted

    predicted = _prediction(batch.columns, plan.prediction_column) if plan.sensitive else None
    return Rows(batch.rows, batch.start, batch.end, position, profiles, batch.dropped_rows, batch.failed_requests)


class _Beside(NamedTuple):
    """The outcomes that pairs come from, if these came last, and the place of each pair in them."""

    told: Outcomes | None
    places: Sequence[int]


def _count_sensitive(
    counted: types.ProfileSet, plan: Plan, sensitive: Sensitive, pairs: Sequence[Pair], places: Iterable[int]
) -> None:
    at = list(places)
    for name, groups in sorted(sensitive):
        if name in plan.sensitive:
            rows = (Row(*pair, groups[place]) for pair, place in zip(pairs, at, strict=True))
            counted.sensitive.append(count_groups(name, rows))


def _gains(pairs: Sequence[Pair], beside: _Beside) -> dict[int, list[float] | None]:
    """NDCG of each query by the place of its last pair."""
    told, rows = beside.told, dict[str, list[tuple[float, float, int]]]()
    if told is None or not told.queries:
        return {}
    for at, (pair, place) in enumerate(zip(pairs, beside.places, strict=True)):
        try:
            score, relevance = float(pair[0]), float(pair[1])
        except ValueError:
            continue
        if told.queries[place] and math.isfinite(score) and 0 <= relevance < math.inf:
            rows.setdefault(told.queries[place], []).append((score, relevance, at))
    return {one[-1][2]: gains_of([row[0] for row in one], [row[1] for row in one]) for one in rows.values()}


def _rows_of_pairs(plan: Plan, pairs: Sequence[Pair], at: int, position: int, beside: _Beside) -> Rows:
    gains = _gains(pairs, beside) if plan.queries else {}

    def profiles(start: int, stop: int) -> types.ProfileSet:
        counted = types.ProfileSet(rows=stop - start, performance=count_pairs(pairs[start:stop]))
        if beside.told is not None:
            _count_sensitive(counted, plan, beside.told.sensitive, pairs[start:stop], beside.places[start:stop])
        ended = [gains[row] for row in range(start, stop) if row in gains]
        if ended:
            counted.ranked_queries.CopyFrom(count_queries(ended))
        return counted

    return Rows(len(pairs), at, at, position, profiles)
