"""What ran where: random histories of traffic tile time without gap or overlap, however they are folded."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kernel import tables
from kernel.cause import Cause, fact_of
from kernel.fold import apply
from kernel.folding import Folded
from kernel.postgres import owning
from modelog.cli.serving import bars
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.people_pb2 import ListRepairsRequest, Repair
from modelog.type.v1.principal_pb2 import Principal
from services.deployment.domain import ENDPOINT, KINDS
from services.deployment.people import queries
from services.deployment.people.printed import end_of, new_in
from services.deployment.projections import project
from suite.postgres_server import PostgresServer

_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_MIGRATIONS = Path(__file__).parents[2] / "services/deployment/migrations"


def name_of(number: int) -> str:
    return f"projects/risk/endpoints/e{number}"


def version_of(number: int) -> str:
    return f"projects/risk/models/fraud/versions/{number}"


def split(chance: random.Random) -> list[types.TrafficShare]:
    """Nothing, one version, or several whose shares add up to 100; some of them may have none."""
    count = chance.choice([0, 1, 1, 2, 3])
    cuts = sorted(chance.choices(range(101), k=max(count - 1, 0)))
    percents = [high - low for low, high in pairwise([0, *cuts, 100])] if count else []
    versions = chance.sample(range(1, 5), count)
    return [
        types.TrafficShare(version=version_of(number), percent=percent, ready_replicas=1)
        for number, percent in zip(versions, percents, strict=True)
    ]


def history(seed: int) -> list[Folded]:
    """Two endpoints: created, traffic moved some times, one of them removed in the end; several facts a microsecond."""
    chance, folded, revision, moment = random.Random(seed), [], 0, _BEGIN
    states: dict[str, Any] = {name_of(number): types.Endpoint() for number in (1, 2)}
    events: dict[str, list[Any]] = {
        name: [
            facts.EndpointCreated(environment="projects/risk/environments/prod", replicas=1),
            *(
                facts.TrafficShifted(traffic=split(chance), requested_by="users/dora")
                for _ in range(chance.randrange(9))
            ),
        ]
        for name in states
    }
    events[name_of(2)].append(facts.EndpointRemoved())
    while any(events.values()):
        name = chance.choice([one for one, left in events.items() if left])
        event, state = events[name].pop(0), states[name]
        revision, moment = revision + 1, moment + timedelta(seconds=chance.choice([0, 0.001, 3, 60]))
        before = state.SerializeToString(deterministic=True)
        cause = Cause(Principal(id="services/deployment"), f"{revision}", moment)
        fact = fact_of(ENDPOINT, name, state, event, cause, ())
        apply(ENDPOINT, state, fact, revision, event)
        copy = types.Endpoint()
        copy.CopyFrom(state)
        folded.append(Folded(revision, fact, event, ENDPOINT, before, copy))
    return folded


@asynccontextmanager
async def views(postgres: PostgresServer, schema: str, batches: Sequence[Sequence[Folded]]) -> AsyncIterator[Any]:
    """A pool over tables into which these batches were projected, one transaction each."""
    async with owning(postgres.urls_of("deployment")["postgres_owner_url"], schema=schema) as owner:
        async with owner.acquire() as connection:
            await connection.execute(f'create schema if not exists "{schema}"')
            await tables.create(connection, KINDS)
            for path in sorted(_MIGRATIONS.glob("*.sql")):
                await connection.execute(path.read_text())
        for batch in batches:
            async with owner.acquire() as connection, connection.transaction():
                await project(connection, batch)
                await connection.executemany(
                    "insert into endpoint_history values ($1, $1, $2, $3, $4)",
                    [
                        (
                            one.state.name,
                            one.revision,
                            one.fact.recorded_at.ToDatetime(tzinfo=UTC),
                            one.state.SerializeToString(deterministic=True),
                        )
                        for one in batch
                    ],
                )
        yield owner


async def listed(pool: Any, **asked: Any) -> list[types.ServingInterval]:
    """All pages, three rows each."""
    rows: list[types.ServingInterval] = []
    token = ""
    while True:
        request = rpc.ListServingIntervalsRequest(parent="projects/risk", page_size=3, page_token=token, **asked)
        reply = await queries.serving_intervals(pool, request)
        rows.extend(reply.serving_intervals)
        if not (token := reply.next_page_token):
            return rows


@pytest.mark.parametrize("seed", range(6))
async def test_intervals_tile_time_exactly_and_a_rebuild_makes_the_same(
    postgres: PostgresServer, schema: str, seed: int
) -> None:
    folded = history(seed)
    async with views(postgres, schema, [[one] for one in folded]) as pool:
        rows = await listed(pool, include_gaps=True)
        for number in (1, 2):
            _tiles(folded, [one for one in rows if one.endpoint == name_of(number)], name_of(number))
        assert [one for one in rows if one.version] == await listed(pool)
        backwards = await listed(pool, include_gaps=True, descending=True)
        assert backwards == rows[::-1]
        last = folded[-1].revision
        for revision in range(1, last + 1):
            then = rpc.ListServingIntervalsRequest(parent="projects/risk", page_size=500)
            then.read.as_of_revision = revision
            known = (await queries.serving_intervals(pool, then)).serving_intervals
            assert {(one.endpoint, one.version): one.percent for one in known if not one.to_revision} == _state(
                folded, revision
            )
    async with views(postgres, schema + "b", [folded]) as pool:
        assert await listed(pool, include_gaps=True) == rows


def _state(folded: Sequence[Folded], revision: int) -> dict[tuple[str, str], int]:
    """The shares at a revision, by what the facts themselves say."""
    newest = {one.state.name: one.state for one in folded if one.revision <= revision}
    return {
        (name, share.version): share.percent
        for name, state in newest.items()
        for share in state.traffic
        if share.percent
    }


def _tiles(folded: Sequence[Folded], rows: Sequence[types.ServingInterval], name: str) -> None:
    """Between any two facts of the endpoint the shares add up to 100, or one interval says that nobody served."""
    mine = [one for one in folded if one.state.name == name]
    for fact in mine:
        over = [
            one
            for one in rows
            if one.from_revision <= fact.revision and not (one.to_revision and one.to_revision <= fact.revision)
        ]
        expected = {share.version: share.percent for share in fact.state.traffic if share.percent}
        assert {one.version: one.percent for one in over if one.version} == expected
        removed = isinstance(fact.event, facts.EndpointRemoved)
        assert [one.version for one in over if not one.version] == ([""] if not expected and not removed else [])
    starts = {one.revision: one.fact.recorded_at for one in mine}
    for row in rows:
        assert row.from_time == starts[row.from_revision]
        if row.to_revision:
            assert row.to_time == starts[row.to_revision]


async def test_a_period_cuts_off_what_lies_outside_and_a_moment_is_half_open(
    postgres: PostgresServer, schema: str
) -> None:
    folded = _story()
    moments = [one.fact.recorded_at for one in folded]
    async with views(postgres, schema, [folded]) as pool:
        rows = await listed(pool, clip=True, from_time=moments[1], to_time=moments[2])
        assert [(one.version, one.from_time, one.to_time) for one in rows] == [(version_of(1), moments[1], moments[2])]
        middle = moments[1].ToDatetime() + timedelta(seconds=1)
        begun = rpc.ListServingIntervalsRequest(parent="projects/risk", clip=True)
        begun.from_time.FromDatetime(middle)
        cut = (await queries.serving_intervals(pool, begun)).serving_intervals
        assert [one.from_time.ToDatetime() for one in cut] == [middle, moments[2].ToDatetime()]
        assert [one.version for one in await listed(pool, model="projects/risk/models/fraud")] == [
            version_of(1),
            version_of(2),
        ]
        assert await listed(pool, model="projects/risk/models/frau") == []


async def test_each_finding_of_a_repair_is_listed_newest_first(postgres: PostgresServer, schema: str) -> None:
    async with views(postgres, schema, [_story()]) as pool:
        asked = ListRepairsRequest(parent="projects/risk/endpoints/-", page_size=2)
        first = await queries.repairs(pool, asked)
        asked.page_token = first.next_page_token
        second = await queries.repairs(pool, asked)
        assert [one.repair.finding for one in (*first.repairs, *second.repairs)] == ["c", "b", "a"]
        assert not second.next_page_token
        assert (await queries.repairs(pool, ListRepairsRequest(parent=name_of(9)))).repairs == []


def _story() -> list[Folded]:
    state, folded = types.Endpoint(), []
    share = [types.TrafficShare(version=version_of(number), percent=100, ready_replicas=1) for number in (1, 2)]
    events: list[Any] = [
        facts.EndpointCreated(environment="projects/risk/environments/prod"),
        facts.TrafficShifted(traffic=share[:1]),
        facts.TrafficShifted(traffic=share[1:]),
        facts.EndpointRepaired(repair="a"),
        facts.EndpointRepaired(repair="b; c", repairs=[Repair(finding="b"), Repair(finding="c")]),
    ]
    for revision, event in enumerate(events, 1):
        cause = Cause(Principal(id="users/dora"), str(revision), _BEGIN + timedelta(seconds=10 * revision))
        fact = fact_of(ENDPOINT, name_of(1), state, event, cause, ())
        apply(ENDPOINT, state, fact, revision, event)
        copy = types.Endpoint()
        copy.CopyFrom(state)
        folded.append(Folded(revision, fact, event, ENDPOINT, b"", copy))
    return folded


def test_the_picture_is_as_high_as_the_share_and_shows_the_shortest_shift() -> None:
    def interval(version: str, percent: int, begin: float, end: float) -> types.ServingInterval:
        made = types.ServingInterval(endpoint="e", version=version, percent=percent)
        made.from_time.FromDatetime(_BEGIN + timedelta(seconds=begin))
        made.to_time.FromDatetime(_BEGIN + timedelta(seconds=end))
        return made

    drawn = bars(
        [interval("1", 100, 0, 5), interval("1", 50, 5, 10), interval("2", 50, 5, 10), interval("3", 100, 9.9, 9.901)],
        _BEGIN,
        _BEGIN + timedelta(seconds=10),
        10,
    )
    assert drawn == {("e", "1"): "█████▄▄▄▄▄", ("e", "2"): "     ▄▄▄▄▄", ("e", "3"): "         ▁"}


def test_what_is_new_in_a_log_is_told_once() -> None:
    assert new_in("one\ntwo\n", "one\n") == ("two\n", False)
    assert new_in("two\nthree\n", "one\ntwo\n").gap
    long = "".join(f"line {number}\n" for number in range(200))
    assert new_in(long[100:] + "new\n", long) == ("new\n", False)
    assert end_of("äone\ntwo\n", 6) == "two\n"
