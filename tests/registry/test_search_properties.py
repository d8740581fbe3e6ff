"""Compiled filters and orders against the oracle: random versions, random filters, now and as of any revision."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import index, search_sql, tables
from kernel.errors import Refusal
from kernel.fields import Schema
from kernel.filters import parse
from kernel.folding import History
from kernel.names import sort_key
from kernel.ordering import parse_order
from kernel.postgres import Pool, create_pool, migrate
from kernel.searching import Searches
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.domain import VERSION
from services.registry.searchable import SEARCHABLES
from suite.postgres_server import PostgresServer
from tests.registry.oracle import Row, holds, micros, ordered

START = datetime(2026, 3, 1, tzinfo=UTC)
SEARCHABLE = SEARCHABLES[2]
SCHEMA = Schema([SEARCHABLE])
LOW = "projects/p/models/"
NUMBERS = [0.0, 1.0, -1.0, 0.5, 0.93, 0.9300001, 300.0, -2.5e-7, 1e18]
TEXTS = [
    "a1",
    "A1",
    "a1 b2",
    "b%2",
    "b_2",
    "true",
    "300",
    "0.5",
    "x*y1",
    "é1",
    "back\\slash9",
    'quo"te9',
    "",
    "a1\x00b2",
]
PATHS = [
    "name", "model", "number", "stage", "author", "tags.k", 'tags."k 2"', "hyperparameters.k", "properties.k",
    "metrics.k",
    "evaluations.e.metrics.k", "evaluations.e", "makers", "deprecated", "source.dirty", "create_time", "update_time",
    "revision", "deprecation.sunset_time", "artifact.size_bytes", "tags", "properties",
]  # fmt: skip
VALUES = [
    "a1", '"a1"', "A1", "a*", '"*1*"', "*", "b%2", '"b_2"', "true", "false", '"true"', "300", '"300"', "0.93", "-1",
    "0.5",
    '"0.5"', "1e18", "-0.0", "2026-03-01T00:00:05Z", '"2026-03-01T00:00:03Z"', "2026-03-02", '""', '"x\\*y1"', "k",
    'projects/p/models/m1/*', "é1", '"back\\\\slash9"', '"quo\\"te9"',
]  # fmt: skip
OPERATORS = ["=", "!=", "<", "<=", ">", ">=", ":"]

keys = st.sampled_from(["k", "k 2"])
plain_texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)


@st.composite
def versions(draw: Any) -> types.Version:
    version = types.Version(
        stage=draw(plain_texts), author=draw(plain_texts), makers=draw(st.lists(plain_texts, max_size=2))
    )
    version.tags.update(draw(st.dictionaries(keys, plain_texts, max_size=2)))
    version.hyperparameters.update(draw(st.dictionaries(keys, plain_texts, max_size=2)))
    version.documentation.summary = draw(plain_texts)
    version.source.dirty = draw(st.booleans())
    version.artifact.size_bytes = draw(st.integers(0, 3))
    if draw(st.booleans()):
        version.deprecation.sunset_time.FromDatetime(START + timedelta(seconds=draw(st.integers(0, 9))))
    for name, value in draw(st.dictionaries(keys, numbers, max_size=2)).items():
        version.evaluations["e"].metrics[name].value = value
    for name in draw(st.sets(keys)):
        one = version.documentation.properties[name]
        match draw(st.integers(0, 3)):
            case 0:
                one.text = draw(plain_texts)
            case 1:
                one.number = draw(numbers)
            case 2:
                one.flag = draw(st.booleans())
            case _:
                one.time.FromDatetime(START + timedelta(seconds=draw(st.integers(0, 9))))
    return version


tests = st.builds("{}{}{}".format, st.sampled_from(PATHS), st.sampled_from(OPERATORS), st.sampled_from(VALUES))
leaves = tests | st.sampled_from(["a1", "b2", '"a1 b2"', "A", "tags:k", "evaluations:e", "properties.k:*", "k"])
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("({} {})".format, inner, inner),
        st.builds("NOT {}".format, leaves),
        st.builds("-({})".format, inner),
    ),
    max_leaves=5,
)
ordering = st.lists(
    st.builds("{}{}".format, st.sampled_from([one for one in PATHS if one not in ("makers", "tags", "properties")]),
              st.sampled_from(["", " desc", " asc"])),
    max_size=3, unique_by=lambda one: one.partition(" ")[0],
).map(", ".join)  # fmt: skip
lives = st.lists(st.tuples(st.integers(0, 7), versions()), min_size=1, max_size=12)


def told(sequence: list[tuple[int, types.Version]]) -> list[Row]:
    """Every state in the order of the log: names of two models, a revision and a time each."""
    created: dict[int, datetime] = {}
    rows = []
    for revision, (number, version) in enumerate(sequence, 1):
        moment = START + timedelta(seconds=revision)
        version.name = f"projects/p/models/m{number % 2}/versions/{number + 7}"
        version.create_time.FromDatetime(created.setdefault(number, moment))
        version.update_time.FromDatetime(moment)
        body = version.SerializeToString(deterministic=True)
        rows.append(
            Row(version.name, sort_key(version.name), revision, micros(moment), types.Version.FromString(body), body)
        )
    return rows


@pytest.fixture(scope="module")
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async def first(connection: Any) -> None:
        await tables.create(connection, (VERSION,))
        await index.create(connection)

    pool = await create_pool(postgres.url, schema="search_properties", name="search", size=2)
    await migrate(pool, schema="search_properties", first=first)
    yield pool
    pool.terminate()


async def stored(pool: Pool, rows: list[Row]) -> None:
    """As the projector leaves them, for a history that was folded at once."""
    newest = {row.name: row for row in rows}
    histories = [
        History(row.name, row.sort, row.revision, START + timedelta(seconds=row.revision), row.body) for row in rows
    ]
    last = {one.name: one for one in histories}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("truncate searchable, version, version_history")
        await connection.copy_records_to_table(
            "version_history", records=histories, columns=list(tables.HISTORY_COLUMNS)
        )
        await connection.copy_records_to_table(
            "version",
            records=[(row.name, row.sort, row.revision, row.body) for row in newest.values()],
            columns=["name", "sort", "revision", "body"],
        )
        await index.Index(SEARCHABLES).write(connection, {VERSION: last})


def expected(rows: list[Row], filter_: str, order_by: str, as_of: int) -> list[bytes]:
    then = {row.name: row for row in rows if row.revision <= as_of}
    wanted = parse(filter_, SCHEMA)
    matching = [row for row in then.values() if holds(wanted, row, SEARCHABLE)]
    return [row.body for row in ordered(matching, parse_order(order_by, SCHEMA), SEARCHABLE)]


async def answered(pool: Pool, filter_: str, order_by: str, read: ReadOptions, size: int) -> list[bytes]:
    """All pages."""
    searches, found, token = Searches(pool, SEARCHABLES), list[bytes](), ""
    for _ in itertools.count():
        request = rpc.ListVersionsRequest(
            filter=filter_, order_by=order_by, read=read, page_size=size, page_token=token
        )
        bodies, token = await searches.page(VERSION, LOW, request)
        found += bodies
        if not token:
            return found
        assert len(bodies) == size
    raise AssertionError


def understood(filter_: str) -> bool:
    try:
        parse(filter_, SCHEMA)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("looked_at", [2, 2000])
async def test_filters_and_orders_mean_what_the_oracle_says(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    monkeypatch.setattr(search_sql, "LOOKED_AT", looked_at)
    monkeypatch.setattr(search_sql, "SAMPLED_AT", min(looked_at, 9) - 2)
    loop = asyncio.get_running_loop()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        lives,
        st.lists(filters.filter(understood), min_size=4, max_size=4),
        ordering,
        st.integers(1, 12),
        st.integers(1, 5),
    )
    def property_(sequence: Any, asked: list[str], order_by: str, moment: int, size: int) -> None:
        asyncio.run_coroutine_threadsafe(check(sequence, asked, order_by, moment, size), loop).result()

    async def check(sequence: Any, asked: list[str], order_by: str, moment: int, size: int) -> None:
        rows = told(sequence)
        await stored(pool, rows)
        then = min(moment, len(rows))
        at = ReadOptions(as_of_revision=then)
        past = ReadOptions()
        past.as_of_time.FromDatetime(START + timedelta(seconds=then))
        for filter_ in asked:
            for read, as_of in ((ReadOptions(), len(rows)), (at, then), (past, then)):
                wanted = expected(rows, filter_, order_by, as_of)
                got = await answered(pool, filter_, order_by, read, size)
                assert got == wanted, (filter_, order_by, as_of)

    await asyncio.to_thread(property_)


async def test_the_largest_and_strangest_version_there_can_be_is_indexed(pool: Pool) -> None:
    """A row that cannot be written would stop the fold for good."""
    version = types.Version(stage="s\0tage\x02", author="\U0001f600" * 60)
    for number in range(32):
        evaluation = version.evaluations[f"e{number}"]
        for metric in range(128):
            evaluation.metrics[f"metric {metric} " + "m" * 100].value = 1.5 ** (metric - 64)
        evaluation.fairness.add(attribute="a").metrics["d"].value = float("nan")
    for number in range(64):
        version.tags[f"{number} " + "k" * 60] = " ".join("\u4e2d\u6587" + chr(0x4E00 + one) for one in range(60))
        version.documentation.properties[f"p{number}"].text = " ".join(f"\u4e2d{number}{one}" for one in range(170))
    for field in ("summary", "architecture", "limitations", "caveats", "assumptions", "intended_use"):
        setattr(version.documentation, field, " ".join(chr(0x10000 + one) + f"{field}{one}" for one in range(250)))
    rows = told([(0, version)])
    await stored(pool, rows)
    for filter_ in ("tags:*", "stage = tage OR stage:tage", "evaluations.e3.metrics:*", "metrics:*"):
        assert understood(filter_), filter_
    found = await answered(pool, "evaluations:e31 properties:p63 stage = stage", "", ReadOptions(), 5)
    assert found == [rows[0].body]
    assert await answered(pool, "evaluations.e0.fairness:d", "", ReadOptions(), 5) == []
