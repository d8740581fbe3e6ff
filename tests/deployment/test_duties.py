"""Duties kept apart over a live service: what is held on one's own makings only, and approvers who do not deploy."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
import pytest

from access.fold import KNOWN_PROJECT
from access.own import check_own
from kernel.cause import Cause
from kernel.errors import Denied
from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.type.v1.principal_pb2 import Principal
from services.deployment.domain import KNOWN_VERSION
from services.deployment.rollouts import Rollouts
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.deployment import models
from tests.deployment.test_servicer import QUIET, RECREATE, refused
from tests.deployment.town import ENDPOINT, PROJECT, Town, town, version_name

_numbers = itertools.count(1)
BOT = "serviceaccounts/bot"


@pytest.fixture
async def place(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Town]:
    async with town(nats, postgres, tmp_path, schema, roles=QUIET) as made:
        yield made


def cause(by: str, *for_whom: str) -> Cause:
    """A command that was allowed on what its callers made only."""
    return Cause(
        Principal(id=by),
        f"duty-{next(_numbers)}",
        datetime.now(UTC),
        on_behalf_of=tuple(Principal(id=one) for one in for_whom),
        check=partial(check_own, (by, *for_whom)),
    )


async def asked(place: Town, number: int, why: Cause) -> str:
    """The reason for which a rollout is refused; empty when it begins."""
    try:
        await Rollouts(place.live.rooms).request(ENDPOINT, version_name(number), RECREATE, why)
    except Denied as refusal:
        return refusal.reason
    return ""


async def test_an_author_rolls_out_own_versions_where_nothing_is_protected(place: Town) -> None:
    await place.found(protected=True)
    await place.register(1, models.classifier())
    assert await asked(place, 1, cause("users/ada")) == "PROTECTED_ENVIRONMENT"
    await place.stub.DefineEnvironment(rpc.DefineEnvironmentRequest(parent=PROJECT, environment_id="production"))
    assert await asked(place, 1, cause("users/bob")) == "NOT_YOUR_OWN"
    assert await asked(place, 1, cause("users/ada", "users/bob")) == "NOT_YOUR_OWN"
    assert await asked(place, 1, cause("users/ada")) == ""


async def test_an_approver_does_not_deploy_by_an_account_of_theirs(place: Town) -> None:
    await place.found(protected=True)
    await place.register(1, models.classifier())
    owned = registry.ServiceAccountRegistered(account=BOT, owner="users/rita")
    revision = await place.others.record(KNOWN_PROJECT, PROJECT, owned)
    await place.live.rooms.resources.wait(revision)
    request = rpc.RequestRolloutRequest(parent=ENDPOINT, version=version_name(1), strategy=RECREATE)
    for metadata in (
        (("x-modelog-actor", "users/rita"),),
        (("x-modelog-actor", BOT),),
        (("x-modelog-actor", "users/dora"), ("x-modelog-on-behalf-of", BOT)),
    ):
        answer = place.stub.RequestRollout(request, metadata=metadata)
        assert await refused(answer, grpc.StatusCode.FAILED_PRECONDITION) == "APPROVER_MAY_NOT_DEPLOY"
    await place.stub.RequestRollout(request, metadata=(("x-modelog-actor", "users/dora"),))


async def test_a_decision_says_on_which_states_of_access_it_was_made(place: Town) -> None:
    await place.found()
    await place.register(1, models.classifier())
    why = cause("users/ada")
    decided = await Rollouts(place.live.rooms).request(ENDPOINT, version_name(1), RECREATE, why)
    state: types.Rollout = decided.state
    assert state.requested_by == "users/ada"
    loaded = await place.live.rooms.states.load(KNOWN_VERSION, version_name(1))
    assert list(loaded.makers) == ["users/ada"]
