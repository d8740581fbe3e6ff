"""Ingest over real servers: stored in order, counted once, held back, put aside with reasons, sent again."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.telemetry.consumer import telemetry_state
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.monitoring.build import ENDPOINT, VERSION, batch, check, column, outcomes
from tests.monitoring.ingesting import ingest, request
from tests.monitoring.station import Station, details, station
from tests.monitoring.test_telemetry import rows_open, windows

VOLUME = check(types.METHOD_VOLUME, 1, id="rows")
ACCURACY = check(types.METHOD_ACCURACY, 0.7, id="right")
BY_100 = types.WindowSpec(size_rows=100)


async def test_what_is_streamed_is_stored_in_order_and_counted_once(live: Station) -> None:
    await live.create(VOLUME, window=BY_100)
    sent = [request(batch(f"b{number}", np.ones(10))) for number in range(30)]
    answers = await ingest(live.live.channel, [*sent, sent[3]])
    assert [one.request_id for one in answers] == [one.request_id for one in (*sent, sent[3])]
    positions = [one.position for one in answers[:-1]]
    assert positions == sorted(positions)
    assert len(set(positions)) == 30
    assert (answers[-1].position, answers[-1].repeated) == (answers[3].position, True)
    again = await ingest(live.live.channel, sent)
    assert all(one.repeated for one in again)
    await live.counted()
    await windows(live, 3)
    assert await rows_open(live) == 0


async def test_outcomes_are_streamed_beside_predictions(live: Station) -> None:
    await live.create(ACCURACY, window=types.WindowSpec(size_rows=2))
    sent = [request(batch("b1", [1.0, 2.0], scores=[1.0, 1.0])), request(outcomes("o1", {"b1-0": 1.0, "b1-1": 0.0}))]
    await ingest(live.live.channel, sent)
    assert [point.value for point in await windows(live, 1)] == [0.5]


async def test_what_is_no_batch_is_refused_alone(live: Station) -> None:
    good = batch("b1", [1.0])
    answers = await ingest(
        live.live.channel,
        [
            request(good, predictions=b"\xff\xff"),
            request(good, request_id="b2"),
            request(batch("b3", [1.0], endpoint=f"{ENDPOINT}x")),
            request(good),
        ],
    )
    assert [one.refusal.reason for one in answers] == ["BATCH_MALFORMED", "INVALID_REQUEST", "ENDPOINT_NOT_FOUND", ""]
    assert answers[3].position == 1


async def test_endpoints_do_not_share_the_names_of_batches(live: Station) -> None:
    """Else who knows what a producer will call its next batch could have it dropped as counted already."""
    other = "projects/risk/endpoints/fraud-us"
    await live.create(VOLUME, window=BY_100)
    stolen = batch("b1", [1.0] * 5)
    stolen.endpoint = other
    await live.send_raw("telemetry.predictions.risk.fraud-us", stolen.SerializeToString())
    await ingest(live.live.channel, [request(batch("b1", [1.0] * 7))])
    await live.counted()
    assert await rows_open(live) == 7


async def test_a_column_that_does_not_fit_is_told_and_the_batch_sent_again(live: Station) -> None:
    await live.register()
    await live.create(VOLUME, window=BY_100)
    wrong = batch("b1", [1.0, 2.0, 3.0])
    wrong.inputs[0].CopyFrom(column("age", ["41", "old", "old"]))
    (answer,) = await ingest(live.live.channel, [request(wrong)])
    await live.counted()
    (aside,) = (await live.call("ListRejectedBatches", parent=ENDPOINT)).batches
    (told,) = aside.columns
    assert (told.name, told.expected, told.found, told.first_row, told.wrong_rows, told.example) == (
        "age",
        "numbers",
        "text",
        1,
        2,
        "old",
    )
    assert aside.kept
    assert await rows_open(live) == 0
    _, reason, _ = await live.refused("RetryRejectedBatch", parent=ENDPOINT, position=answer.position + 1)
    assert reason == "BATCH_NOT_FOUND"
    _, _, fields = await live.refused(
        "RetryRejectedBatch", parent=ENDPOINT, position=answer.position, convert_columns=["nothing"]
    )
    assert fields == ["convert_columns"]
    await live.call("RetryRejectedBatch", parent=ENDPOINT, position=answer.position, convert_columns=["age"])
    await live.counted()
    assert await rows_open(live) == 3
    assert not (await live.call("ListRejectedBatches", parent=ENDPOINT)).batches


async def test_what_is_put_aside_is_kept_within_bounds(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with station(nats, postgres, tmp_path, schema=schema, rejected_mebibytes=0.0005) as live:
        await live.serve(VERSION)
        await live.create(VOLUME, window=BY_100)
        early = [batch(f"b{number}", [1.0]) for number in range(8)]
        for one in early:
            one.version = "none"
        await live.send(*early)
        await live.counted()
        found = (await live.call("ListRejectedBatches", parent=ENDPOINT)).batches
        assert len(found) == 8
        assert 0 < sum(one.kept for one in found) < 8
        lost = next(one for one in found if not one.kept)
        assert (await live.refused("RetryRejectedBatch", parent=ENDPOINT, position=lost.position))[
            1
        ] == "BATCH_NOT_KEPT"


async def refused(live: Station, requests: Any) -> tuple[str, str]:
    """Code and reason of a stream that must end with a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ingest(live.live.channel, requests)
    return caught.value.code().name, details(caught.value)[0]


async def test_a_producer_that_sends_too_much_is_told_when_to_come_back(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    async with station(nats, postgres, tmp_path, schema=schema, producer_rows_per_second=2.0) as live:
        await live.serve(VERSION)
        sent = [request(batch(f"b{number}", [1.0] * 30)) for number in range(3)]
        code, reason = await refused(live, sent)
        assert (code, reason) == ("RESOURCE_EXHAUSTED", "INGEST_LIMITED")
        # Another producer of the project is not held back by it.
        assert len(await ingest(live.live.channel, [request(batch("c1", [1.0]))], actor="users/bob")) == 1


async def test_producers_are_held_back_while_counting_is_behind(
    nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.monitoring.telemetry.publishing._HOLD_SECONDS", 0.6)
    settings: dict[str, Any] = {"roles": "rpc,projector", "most_waiting_mebibytes": 0.05}
    async with station(nats, postgres, tmp_path, schema=schema, **settings) as live:
        await live.serve(VERSION)
        sent = [request(batch(f"b{number}", np.ones(1000))) for number in range(40)]
        code, reason = await refused(live, sent)
        assert (code, reason) == ("RESOURCE_EXHAUSTED", "TELEMETRY_BEHIND")
        held = int((await telemetry_state(live.live.rooms))["messages"])
        assert 0 < held < 40
    async with station(nats, postgres, tmp_path, schema=schema) as live:
        await live.counted()
        answers = await ingest(live.live.channel, sent)
        assert [one.refusal.reason for one in answers] == [""] * 40
        assert sum(not one.repeated for one in answers) == 40 - held


MODEL = VERSION.rpartition("/versions/")[0]


async def test_batch_scoring_is_counted_for_a_model_without_an_endpoint(live: Station) -> None:
    """Its monitor alerts for whichever version scores."""
    monitor = "projects/risk/monitors/fraud-batch"
    fields: dict[str, Any] = {"parent": "projects/risk", "monitor_id": "fraud-batch", "endpoint": MODEL}
    many = check(types.METHOD_VOLUME, 1000, id="rows")
    fields |= {"window": types.WindowSpec(size_rows=100), "checks": [many]}
    assert (await live.refused("CreateMonitor", **fields))[1] == "ENDPOINT_NOT_FOUND"
    await live.register()
    created = await live.call("CreateMonitor", **fields)
    await live.live.rooms.resources.wait(created.revision)  # Rows that came before it are not its own.
    scored = batch("b1", np.ones(100))
    scored.endpoint = MODEL
    foreign = batch("b2", [1.0])
    foreign.endpoint, foreign.version = MODEL, "projects/risk/models/other/versions/1"
    answers = await ingest(live.live.channel, [request(scored), request(foreign)])
    assert [one.refusal.reason for one in answers] == ["", ""]
    found = await live.monitor(lambda monitor: monitor.windows == 1, monitor)
    assert [(one.version, one.condition) for one in found.statuses] == [(VERSION, types.CONDITION_FIRING)]
    await live.counted()
    (aside,) = (await live.call("ListRejectedBatches", parent=MODEL)).batches
    assert aside.reason == f"version '{foreign.version}' is not one of {MODEL}"
