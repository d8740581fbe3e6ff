"""Roles at the doors of the real services: every method over the wire, grants and revocations through the log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from access.matrix import ANYBODY, ROLES
from modelog.access.v1.types_pb2 import VERDICT_REFUSED
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import registry_service_pb2 as rpc
from services.registry.domain import MODEL
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.access.house import METHODS, MINA, House, house, valid_request
from tests.access.methods import names_a_target

ADA = "users/ada"
RISK, SECRET = "projects/risk", "projects/secret"
DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
async def doors(nats: NatsServer, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[House]:
    async with house(nats, postgres, tmp_path) as made:
        await made.create("risk")
        await made.create("secret")
        await made.caught_up()
        yield made


async def test_every_method_is_denied_exactly_where_the_roles_say_so(doors: House) -> None:
    for role in ROLES:
        await doors.grant(RISK, f"users/{role}", role)
    await doors.caught_up()
    denied = 0
    for method in METHODS.values():
        for role, permissions in {**ROLES, "nobody": frozenset[str]()}.items():
            for where in (RISK, SECRET):
                answer = await doors.call(method, valid_request(method, where), by=f"users/{role}")
                code = answer.code() if isinstance(answer, grpc.RpcError) else grpc.StatusCode.OK
                may = method.permission in permissions and where == RISK and names_a_target(method)
                may = may or method.permission in ANYBODY
                assert (code is DENIED) != may, (method.path, role, where, code)
                assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (method.path, role, answer)
                denied += code is DENIED
    records = [record for record in await doors.records() if record.verdict == VERDICT_REFUSED]
    assert len(records) == denied


async def test_a_refused_call_leaves_no_fact_and_one_record(doors: House) -> None:
    before = await doors.length()
    request = rpc.CreateModelRequest(parent=RISK, model_id="fraud")
    refused = await doors.call(METHODS["CreateModel"], request, by=ADA)
    assert refused.code() is DENIED
    assert await doors.length() == before
    (record,) = await doors.records()
    assert (record.service, record.principal.id, record.permission) == ("registry", ADA, "registry.models.create")
    assert (list(record.resources), record.reason) == ([RISK], "NOT_GRANTED")
    assert record.client_address.startswith("ipv4:127.0.0.1:")
    assert record.client_agent


async def test_a_grant_and_its_end_are_known_to_every_service_at_once(doors: House) -> None:
    """For calls that have seen the fact: each waits until its own view of access has seen it too."""
    method = METHODS["ListMonitors"]
    request = valid_request(method, RISK)
    for _ in range(20):
        granted = await doors.grant(RISK, ADA, "viewer")
        allowed = await doors.call(method, request, by=ADA, seen=granted)
        assert not isinstance(allowed, grpc.RpcError), allowed
        revoked = await doors.revoke(RISK, ADA, "viewer")
        assert (await doors.call(method, request, by=ADA, seen=revoked)).code() is DENIED


async def test_a_revoked_role_ends_within_seconds_for_calls_that_have_seen_nothing(doors: House) -> None:
    granted = await doors.grant(RISK, ADA, "viewer")
    methods = [METHODS[name] for name in ("ListModels", "ListEndpoints", "ListMonitors", "ListRecords")]
    for method in methods:
        allowed = await doors.call(method, valid_request(method, RISK), by=ADA, seen=granted)
        assert not isinstance(allowed, grpc.RpcError), allowed
    await doors.revoke(RISK, ADA, "viewer")
    for method in methods:
        async with asyncio.timeout(5):
            while not isinstance(await doors.call(method, valid_request(method, RISK), by=ADA), grpc.RpcError):
                await asyncio.sleep(0.01)


async def test_a_fact_names_the_state_of_access_that_allowed_it(doors: House) -> None:
    revision = await doors.grant(RISK, ADA, "author")
    request = rpc.CreateModelRequest(parent=RISK, model_id="fraud")
    created = await doors.call(METHODS["CreateModel"], request, by=ADA, seen=revision)
    entry = await doors.services["registry"].rooms.log.next(MODEL.subject(created.name), 0)
    assert entry is not None
    fact = Fact.FromString(entry.payload)
    assert {read.resource: read.revision for read in fact.reads}[RISK] == revision
    assert (fact.actor.id, fact.actor.auth_method) == (ADA, "believed")


async def test_reads_of_history_are_on_record_and_others_are_not(doors: House) -> None:
    await doors.grant(RISK, "users/eva", "auditor")
    await doors.caught_up()
    history = METHODS["GetHistory"]
    allowed = await doors.call(history, valid_request(history, f"{RISK}/models/fraud"), by="users/eva")
    assert not isinstance(allowed, grpc.RpcError), allowed
    await doors.call(METHODS["ListModels"], valid_request(METHODS["ListModels"], RISK), by="users/eva")
    (record,) = await doors.records()
    assert (record.principal.id, record.method.rpartition("/")[2]) == ("users/eva", "GetHistory")
    assert record.reason == "GRANTED"
    assert record.revisions[RISK] > 0


async def test_the_whole_log_is_for_auditors_of_the_whole_installation(doors: House) -> None:
    await doors.grant(RISK, "users/eva", "auditor")
    await doors.create("all")
    await doors.grant("projects/all", "users/eve", "auditor")
    await doors.caught_up()
    everything = valid_request(METHODS["ReadFacts"], RISK)
    assert (await doors.call(METHODS["ReadFacts"], everything, by="users/eva")).code() is DENIED
    assert not isinstance(await doors.call(METHODS["ReadFacts"], everything, by="users/eve"), grpc.RpcError)
    everything.filter.projects.append(RISK)
    assert not isinstance(await doors.call(METHODS["ReadFacts"], everything, by="users/eva"), grpc.RpcError)
    everything.filter.projects.append(SECRET)
    assert (await doors.call(METHODS["ReadFacts"], everything, by="users/eva")).code() is DENIED
    assert (await doors.call(METHODS["ReadFacts"], everything, by=MINA)).code() is DENIED
