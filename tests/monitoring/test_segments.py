"""Windows of labels by segment: a prediction that waits for its label keeps what tells its segments."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from modelog.monitoring.v1 import telemetry_pb2 as telemetry
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.segments import values_of
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import (
    MONITOR,
    NEXT_VERSION,
    VERSION,
    batch,
    check,
    column,
    numbers,
    outcomes,
    texts,
)
from tests.monitoring.station import Station, station
from tests.monitoring.test_telemetry import windows

COUNTRIES = ["DE", "FR"] * 20
RIGHT = check(types.METHOD_ACCURACY, 0.7, id="right")


def answered(batch_id: str, version: str = VERSION) -> telemetry.PredictionBatch:
    """40 predictions of 1, for one country and the other in turn."""
    return batch(batch_id, [1.0] * 40, version=version, inputs=[column("country", COUNTRIES)])


def labels(batch_id: str, rows: Iterable[int]) -> dict[str, float]:
    """Right for the first country, wrong for the second."""
    return {f"{batch_id}-{row}": 1.0 - row % 2 for row in rows}


@pytest.mark.parametrize("together", [False, True])
async def test_performance_is_judged_by_segment_whenever_labels_come(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, together: bool
) -> None:
    spec = types.WindowSpec(size_rows=40, segment_columns=["country"], versions_together=together)
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        await live.serve(VERSION, NEXT_VERSION)
        await live.create(RIGHT, window=spec)
        # The first labels come before their predictions.
        await live.send(outcomes("early", labels("a", range(10)) | labels("b", range(10))))
        await live.send(answered("a"), answered("b", NEXT_VERSION), answered("c"), answered("d", NEXT_VERSION))
        await live.counted()
    # What waits outlives the process; the other labels come in turned order, and some of them twice.
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        late = [item for one in "dcba" for item in labels(one, reversed(range(40))).items()]
        await live.send(*(outcomes(f"o{at}", dict(late[at : at + 16])) for at in range(0, len(late), 10)))
        points = await windows(live, 8)
        found = [(one.version, one.segment, one.value, one.rows) for one in points]
        versions = [""] if together else [VERSION, NEXT_VERSION]
        values = {"country=DE": 1.0, "country=FR": 0.0}
        apart = [(one, name, value, 40) for one in versions for name, value in values.items()]
        assert sorted(one for one in found if one[1]) == sorted(apart * (3 - len(versions)))
        assert sorted(one[:2] + one[3:] for one in found if not one[1]) == sorted(
            [(one, "", 40) for one in versions] * (4 // len(versions))
        )
        assert await live.live.rooms.kept.fetchval("select count(*) from prediction") == 0


async def test_queries_and_groups_are_counted_by_segment(live: Station) -> None:
    checks = [
        check(types.METHOD_NDCG, 0.5, id="ndcg"),
        check(
            types.METHOD_EQUAL_OPPORTUNITY_DIFFERENCE,
            0.5,
            id="odds",
            sensitive="sex",
            cut=0.5,
            minimum_group_rows=1,
        ),
    ]
    spec = types.WindowSpec(size_rows=4, segment_columns=["country"])
    await live.create(*checks, window=spec)
    # Each query is of one country: ranked well for the first, the wrong way round for the second.
    scores, relevant = [0.9, 0.1, 0.1, 0.9] * 2, [1.0, 0.0] * 4
    countries = column("country", ["DE", "DE", "FR", "FR"] * 2)
    await live.send(batch("b", [1.0] * 8, scores=scores, inputs=[countries]))
    told = outcomes("o", {f"b-{row}": label for row, label in enumerate(relevant)})
    told.queries.extend(["q1", "q1", "q2", "q2", "q3", "q3", "q4", "q4"])
    told.sensitive.append(column("sex", ["f", "f", "f", "f", "m", "m", "m", "m"]))
    await live.send(told)
    points = await windows(live, 4)
    ndcg = {one.segment: one.value for one in points if one.check == "ndcg" and one.segment}
    assert ndcg == {"country=DE": 1.0, "country=FR": pytest.approx(1 / math.log2(3))}
    odds = {one.segment: one.value for one in points if one.check == "odds" and one.segment}
    assert odds == {"country=DE": 0.0, "country=FR": 0.0}
    for number in range(1, 5):
        assert (await live.call("ReevaluateWindow", name=MONITOR, window=number)).same


def test_what_tells_a_segment_is_bounded_and_postgres_can_keep_it() -> None:
    columns = [texts("a", ["x" * 500, "nul\0", ""]), numbers("b", np.array([1.0, np.nan, np.inf]))]
    assert values_of("a", columns) == ["x" * 64, "nul\ufffd", ""]
    assert values_of("b", columns) == ["1", "", ""]
    assert values_of("c", columns) == []
