"""What the SDK does around every call, the same for the asynchronous and for the blocking client."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider

from kernel import errors
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.sdk import Exhausted, Invalid, NotFound, Refused, TooLate, Unavailable, connect, connect_sync
from modelog.sdk import errors as sdk_errors
from modelog.type.v1.read_pb2 import ReadOptions
from suite.folder import free_port
from tests.sdk.callers import Caller, caller
from tests.sdk.fakes import FakeRegistry, serving

NAME = "projects/risk"
DOWN = errors.Unavailable("LOG_UNREACHABLE", "the log cannot be reached")


@pytest.fixture
async def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def address(registry: FakeRegistry) -> AsyncIterator[str]:
    async with serving(registry=registry) as bound:
        yield bound


@pytest.fixture(params=["async", "sync"])
async def call(request: pytest.FixtureRequest, address: str) -> AsyncIterator[Caller]:
    made = caller(request.param, registry=address, actor="users/ada", deadline_seconds=5)
    yield made
    await made.close()


def reads(registry: FakeRegistry) -> list[ReadOptions]:
    return [request.read for request in registry.requests if "read" in request.DESCRIPTOR.fields_by_name]


async def test_a_write_gets_a_request_id_of_its_own_and_the_callers_request_stays_as_it_is(
    call: Caller, registry: FakeRegistry
) -> None:
    request = rpc.CreateProjectRequest(project_id="risk")
    await call("CreateProject", request)
    await call("CreateProject", request)
    first, second = (asked.request_id for asked in registry.requests)
    assert len(first) == 36
    assert first != second
    assert request.request_id == ""
    await call("CreateProject", rpc.CreateProjectRequest(project_id="risk", request_id="mine"))
    assert registry.requests[-1].request_id == "mine"


async def test_an_unreachable_log_is_asked_again_under_the_same_request_id(
    call: Caller, registry: FakeRegistry
) -> None:
    registry.failures = [DOWN, DOWN]
    made = await call("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    assert made.revision == 1
    assert len({asked.request_id for asked in registry.requests}) == 1
    assert len(registry.requests) == 3


async def test_who_is_over_a_rate_waits_as_long_as_the_service_says_and_asks_again(
    call: Caller, registry: FakeRegistry
) -> None:
    registry.failures = [errors.Exhausted("RATE_LIMITED", "too many calls", retry_seconds=0.4)]
    started = time.monotonic()
    made = await call("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    assert 0.4 <= time.monotonic() - started < 2
    assert made.revision == 1
    assert len({asked.request_id for asked in registry.requests}) == 1
    assert len(registry.requests) == 2


async def test_a_limit_that_lifts_too_late_or_never_by_waiting_is_told_at_once(
    call: Caller, registry: FakeRegistry
) -> None:
    registry.failures = [
        errors.Exhausted("RATE_LIMITED", "too many calls", retry_seconds=60),
        errors.Exhausted("TOO_MANY_READERS", "all places are taken"),
    ]
    for reason in ("RATE_LIMITED", "TOO_MANY_READERS"):
        with pytest.raises(Exhausted) as caught:
            await call("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
        assert caught.value.reason == reason
    assert len(registry.requests) == 2


async def test_what_was_decided_is_not_asked_again(call: Caller, registry: FakeRegistry) -> None:
    registry.failures = [errors.Conflict("ETAG_MISMATCH", "read again")]
    with pytest.raises(sdk_errors.Conflict):
        await call("CreateProject", rpc.CreateProjectRequest(project_id="risk"))
    assert len(registry.requests) == 1


async def test_a_log_that_stays_away_ends_before_the_deadline_with_the_request_id_to_ask_again(
    call: Caller, registry: FakeRegistry
) -> None:
    registry.failures = [DOWN] * 100
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await call("CreateProject", rpc.CreateProjectRequest(project_id="risk"), timeout=2.5)
    assert time.monotonic() - started < 2.6
    assert caught.value.reason == "LOG_UNREACHABLE"
    assert 1 < len(registry.requests) < 20
    assert {asked.request_id for asked in registry.requests} == {caught.value.request_id}


async def test_a_call_without_a_timeout_ends_at_the_default_deadline(registry: FakeRegistry, address: str) -> None:
    registry.delay_seconds = 60
    for kind in ("async", "sync"):
        hasty = caller(kind, registry=address, deadline_seconds=0.2)
        with pytest.raises(TooLate):
            await hasty("GetProject", rpc.GetProjectRequest(name=NAME))
        await hasty.close()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_service_that_is_not_there_fails_after_the_patience(kind: str) -> None:
    alone = caller(kind, registry=f"127.0.0.1:{free_port()}", deadline_seconds=30, patience_seconds=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await alone("GetProject", rpc.GetProjectRequest(name=NAME))
    assert time.monotonic() - started < 5
    await alone.close()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_service_that_comes_back_is_found(kind: str, registry: FakeRegistry) -> None:
    port = free_port()
    async with serving(registry=registry, port=port) as address:
        patient = caller(kind, registry=address, deadline_seconds=20)
        await patient("GetProject", rpc.GetProjectRequest(name=NAME))
    async with serving(registry=registry, port=port):
        assert (await patient("GetProject", rpc.GetProjectRequest(name=NAME))).name == NAME
    await patient.close()


async def test_reads_are_at_least_as_new_as_what_the_session_has_seen(call: Caller, registry: FakeRegistry) -> None:
    await call("GetProject", rpc.GetProjectRequest(name=NAME))
    for name in ("a", "b", "c"):
        await call("CreateProject", rpc.CreateProjectRequest(project_id=name))
    await call("GetProject", rpc.GetProjectRequest(name=NAME))
    await call("ListProjects", rpc.ListProjectsRequest())
    assert [read.at_least for read in reads(registry)] == [0, 3, 3]
    assert call.client.revision == 3


async def test_a_read_that_says_how_new_or_how_old_is_left_alone(call: Caller, registry: FakeRegistry) -> None:
    await call("CreateProject", rpc.CreateProjectRequest(project_id="a"))
    for said in (ReadOptions(at_least=7), ReadOptions(as_of_revision=1)):
        await call("GetProject", rpc.GetProjectRequest(name=NAME, read=said))
        assert reads(registry)[-1] == said


async def test_a_view_of_the_past_reads_as_of_its_moment_and_shares_the_session(
    call: Caller, registry: FakeRegistry
) -> None:
    await call("CreateProject", rpc.CreateProjectRequest(project_id="a"))
    past = call.as_of(1)
    await past("GetProject", rpc.GetProjectRequest(name=NAME))
    assert reads(registry)[-1] == ReadOptions(as_of_revision=1)
    await past("GetProject", rpc.GetProjectRequest(name=NAME, read=ReadOptions(as_of_revision=5)))
    assert reads(registry)[-1] == ReadOptions(as_of_revision=5)
    long_ago = call.as_of(datetime(2026, 5, 1, 12, tzinfo=UTC))
    await long_ago("ListProjects", rpc.ListProjectsRequest())
    assert reads(registry)[-1].as_of_time.ToJsonString() == "2026-05-01T12:00:00Z"
    await call("GetProject", rpc.GetProjectRequest(name=NAME))
    assert reads(registry)[-1] == ReadOptions(at_least=1)
    await past.close()
    await long_ago.close()


async def test_calls_say_who_calls_and_for_whom(registry: FakeRegistry, address: str) -> None:
    for kind in ("async", "sync"):
        who = caller(
            kind,
            registry=address,
            actor="serviceaccounts/ci",
            on_behalf_of=("users/ada", "users/bob"),
            correlation_id="run-7",
        )
        await who("GetProject", rpc.GetProjectRequest(name=NAME), metadata=(("x-correlation-id", "run-8"),))
        said = registry.metadata[-1]
        assert said["x-modelog-actor"] == "serviceaccounts/ci"
        assert said["x-modelog-on-behalf-of"] == "users/ada,users/bob"
        assert said["x-correlation-id"] == "run-8"
        assert "traceparent" not in said
        await who.close()


async def test_calls_carry_the_active_trace(call: Caller, registry: FakeRegistry) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        await call("GetProject", rpc.GetProjectRequest(name=NAME))
    assert f"{span.get_span_context().trace_id:032x}" in registry.metadata[-1]["traceparent"]


@pytest.mark.parametrize(
    "refusal",
    [
        cls("SOME_REASON", "a sentence", metadata={"k": "v"})
        for cls in (
            errors.NotFound,
            errors.AlreadyExists,
            errors.NotAllowedNow,
            errors.Conflict,
            errors.Denied,
            errors.Unauthenticated,
            errors.Exhausted,
            errors.TooLate,
        )
    ],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_each_refusal_is_an_exception_of_its_own(
    call: Caller, registry: FakeRegistry, refusal: errors.Refusal
) -> None:
    registry.failures = [refusal]
    with pytest.raises(Refused) as caught:
        await call("GetProject", rpc.GetProjectRequest(name=NAME))
    error = caught.value
    assert type(error) is getattr(sdk_errors, type(refusal).__name__)
    assert (error.code.name, error.reason, error.message) == (refusal.code, "SOME_REASON", "a sentence")
    assert error.metadata == {"k": "v"}
    assert isinstance(error.__cause__, grpc.RpcError)


async def test_wrong_fields_are_named(call: Caller, registry: FakeRegistry) -> None:
    registry.failures = [errors.invalid_field("project_id", "lower case only", "PATTERN")]
    with pytest.raises(Invalid) as caught:
        await call("CreateProject", rpc.CreateProjectRequest(project_id="A"))
    (violation,) = caught.value.violations
    assert (violation.field, violation.description, violation.reason) == ("project_id", "lower case only", "PATTERN")


async def test_a_failure_without_details_is_named_by_its_code(call: Caller) -> None:
    with pytest.raises(Refused) as caught:
        await call("ListModels", rpc.ListModelsRequest(parent=NAME))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


async def test_the_reason_of_a_missing_resource_can_be_caught_by_class(call: Caller, registry: FakeRegistry) -> None:
    registry.failures = [errors.NotFound("PROJECT_NOT_FOUND", "there is no projects/risk")]
    with pytest.raises(NotFound, match="PROJECT_NOT_FOUND: there is no projects/risk"):
        await call("GetProject", rpc.GetProjectRequest(name=NAME))


def test_every_code_of_the_kernel_has_a_class_here() -> None:
    codes: set[Any] = {cls.code for cls in errors.Refusal.__subclasses__()}
    assert codes <= {code.name for code in Refused.of_code} | {"INTERNAL"}


async def test_a_session_catches_up_with_what_others_have_written(call: Caller, registry: FakeRegistry) -> None:
    registry.head = 42
    assert await call.catch_up() == 42
    await call("GetProject", rpc.GetProjectRequest(name=NAME))
    assert reads(registry)[-1].at_least == 42
    registry.head = 7
    assert await call.catch_up() == 42


@pytest.mark.parametrize("when", [9, datetime(2026, 3, 1, tzinfo=UTC)])
async def test_a_client_of_the_past_writes_nothing(when: Any, address: str, registry: FakeRegistry) -> None:
    """Neither in a call nor in a stream, asynchronous or blocking: it would happen now."""
    stream = iter([rpc.RegisterVersionRequest(parent="projects/risk/models/fraud")])
    with connect_sync(registry=address, actor="users/ada") as parent, parent.as_of(when) as past:
        with pytest.raises(ValueError, match="writes, and this client reads the past"):
            past.registry.CreateProject(rpc.CreateProjectRequest(project_id="risk"))
        with pytest.raises(ValueError, match="writes, and this client reads the past"):
            list(past.registry.RegisterVersions(stream))
    async with connect(registry=address, actor="users/ada") as aparent, aparent.as_of(when) as apast:
        with pytest.raises(ValueError, match="writes, and this client reads the past"):
            await apast.registry.CreateProject(rpc.CreateProjectRequest(project_id="risk"))
    assert not registry.requests
