"""What batches give windows to count: rows of predictions, and pairs of prediction and label with what came beside."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Integers
from services.monitoring.groups import Row, count_groups
from services.monitoring.performance import Pair, count_pairs, text_of
from services.monitoring.pieces import Piece
from services.monitoring.profile import Column
from services.monitoring.ranking import count_queries, gains_of
from services.monitoring.sampling import hashes_of_ids
from services.monitoring.segments import rows_at
from services.monitoring.sketches import Hashes
from services.monitoring.telemetry.batches import Outcomes, Predictions
from services.monitoring.windows import Plan, Rows


def prediction_of(columns: Sequence[Column], wanted: str) -> Column | None:
    """The output column of that name; the first one when none is named."""
    outputs = (one for one in columns if one.role == types.COLUMN_ROLE_OUTPUT)
    return next((one for one in outputs if wanted in ("", one.name)), None)


def texts_of(column: Column) -> list[str]:
    return [text_of(one) for one in (column.strings or column.numbers.tolist())]


def part_of(batch: Predictions, places: Integers) -> Predictions:
    """The rows at these places; what was dropped and failed is told with the whole batch."""
    return batch._replace(
        rows=len(places),
        columns=[rows_at(one, places) for one in batch.columns],
        sensitive=[(name, [values[at] for at in places.tolist()]) for name, values in batch.sensitive],
        dropped_rows=0,
        failed_requests=0,
        service=None,
    )


def hashes_of(plan: Plan, batch: Predictions) -> Hashes | None:
    """Of all rows of a batch, where the plan samples some: rows are known by them however they are parted later."""
    return None if plan.sampling is None else hashes_of_ids(batch.batch_id, batch.ids, batch.rows)


def rows_of(plan: Plan, batch: Predictions, position: int, hashes: Hashes | None = None) -> Rows:
    predicted = prediction_of(batch.columns, plan.prediction_column) if plan.sensitive else None
    sensitive: list[tuple[str, list[Row]]] = []
    if predicted is not None:
        said = texts_of(predicted)
        for name, groups in sorted(batch.sensitive):
            if name in plan.sensitive:
                sensitive.append((name, [Row(one, "", group) for one, group in zip(said, groups, strict=True)]))

    hidden = frozenset(name for name, _ in batch.sensitive)

    def profiles(start: int, stop: int) -> Piece:
        columns = [one.part(start, stop) for one in batch.columns]
        groups = tuple((name, rows[start:stop]) for name, rows in sensitive)
        part = Piece(columns, stop - start, plan.layout, plan.losses, groups, plan.outliers)
        if hashes is None:
            return part
        return part._replace(sampling=plan.sampling, hashes=hashes[start:stop], hidden=hidden)

    return Rows(
        batch.rows, batch.start, batch.end, position, profiles, batch.dropped_rows, batch.failed_requests, batch.service
    )


class Beside(NamedTuple):
    """The outcomes that pairs come from, if these came last, and the place of each pair in them."""

    told: Outcomes | None
    places: Sequence[int]


def rows_of_pairs(plan: Plan, pairs: Sequence[Pair], at: int, position: int, beside: Beside) -> Rows:
    gains = _gains(pairs, beside) if plan.queries else {}
    sensitive = [one for one in sorted(beside.told.sensitive) if one[0] in plan.sensitive] if beside.told else []

    def profiles(start: int, stop: int) -> types.ProfileSet:
        counted = types.ProfileSet(rows=stop - start, performance=count_pairs(pairs[start:stop]))
        for name, groups in sensitive:
            some = zip(pairs[start:stop], beside.places[start:stop], strict=True)
            counted.sensitive.append(count_groups(name, (Row(*pair, groups[place]) for pair, place in some)))
        ended = [gains[row] for row in range(start, stop) if row in gains]
        if ended:
            counted.ranked_queries.CopyFrom(count_queries(ended))
        return counted

    return Rows(len(pairs), at, at, position, profiles)


def _gains(pairs: Sequence[Pair], beside: Beside) -> dict[int, list[float] | None]:
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
