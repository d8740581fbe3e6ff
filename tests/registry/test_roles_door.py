"""The registry behind the authority that asks for roles: what they open, and what stays closed to those without."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from access.authority import authority
from kernel.identity import Caller, Development, Peer
from modelog.registry.v1 import types_pb2 as types
from services.registry.__main__ import BLUEPRINT
from services.registry.domain import PROJECT
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, refused

ROOT, DORA, DAN = "users/root", "users/dora", "users/dan"
CI = "serviceaccounts/ci"


class Believed:
    """Credentials that are what the caller says."""

    async def caller(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        return await Development().identify(metadata, peer)


GUARDED = replace(BLUEPRINT, authority=lambda rooms: authority(rooms, Believed(), kind=PROJECT))


@pytest.fixture
async def guarded(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    settings: dict[str, Any] = {"schema": schema, "identity": "roles", "administrators": f"{ROOT},{DORA}"}
    async with service(GUARDED, nats, postgres, tmp_path, **settings) as live:
        yield Office(live)


async def denied(call: Any) -> str:
    code, reason, _ = await refused(call)
    assert code == "PERMISSION_DENIED"
    return reason


async def settled(office: Office) -> None:
    """Roles are folded before they are asked for."""
    await office.live.rooms.resources.catch_up()


async def begin(office: Office) -> None:
    """Root creates the project; with Dora, who administers the installation too, Ben comes to administer it."""
    for name in ("risk", "other"):
        await office.CreateProject(project_id=name, by=ROOT)
    wish = {"name": PROJECT_NAME, "principal": BEN, "role": "admin"}
    assert (await office.GrantRole(**wish, by=ROOT)).state == types.GRANT_STATE_PROPOSED
    assert (await office.GrantRole(**wish, by=DORA)).state == types.GRANT_STATE_GRANTED
    await settled(office)


async def test_what_roles_open_and_what_stays_closed(guarded: Office) -> None:
    assert await denied(guarded.CreateProject(project_id="risk", by=CAT)) == "NOT_GRANTED"
    await begin(guarded)
    assert await denied(guarded.CreateModel(parent=PROJECT_NAME, model_id="fraud", by=BEN)) == "NOT_GRANTED"
    assert await denied(guarded.GetProject(name=PROJECT_NAME, by=CAT)) == "NOT_GRANTED"
    for who in (CAT, DAN):
        await guarded.GrantRole(name=PROJECT_NAME, principal=who, role="author", by=BEN)
    await settled(guarded)
    await guarded.CreateModel(parent=PROJECT_NAME, model_id="fraud", by=CAT)
    await settled(guarded)
    first, second = [await guarded.register(by=who) for who in (CAT, DAN)]
    assert await denied(guarded.ChangeStage(name=second, to_stage="testing", by=CAT)) == "NOT_YOUR_OWN"
    await guarded.ChangeStage(name=first, to_stage="testing", by=CAT)
    assert await denied(guarded.GrantRole(name=PROJECT_NAME, principal=ADA, role="viewer", by=CAT)) == "NOT_GRANTED"
    await guarded.RevokeRole(name=PROJECT_NAME, principal=CAT, role="author", by=BEN)
    await settled(guarded)
    assert await denied(guarded.GetVersion(name=first, by=CAT)) == "NOT_GRANTED"


async def test_everybody_sees_their_own_projects_and_asks_about_themselves(guarded: Office) -> None:
    await begin(guarded)
    await guarded.GrantRole(name=PROJECT_NAME, principal=CAT, role="viewer", by=BEN)
    await settled(guarded)
    for who, names in ((CAT, ["risk"]), (BEN, ["risk"]), (ROOT, ["other", "risk"]), (DAN, [])):
        listed = (await guarded.ListProjects(by=who)).projects
        assert [one.name.partition("/")[2] for one in listed] == names
    ask = {"permission": "registry.models.get", "resource": MODEL_NAME}
    assert (await guarded.CheckAccess(principal=CAT, by=CAT, **ask)).allowed
    assert not (await guarded.CheckAccess(principal=DAN, by=DAN, **ask)).allowed
    assert await denied(guarded.CheckAccess(principal=CAT, by=DAN, **ask)) == "NOT_GRANTED"
    assert await denied(guarded.CheckAccess(principal=BEN, by=CAT, **ask)) == "NOT_GRANTED"
    assert (await guarded.CheckAccess(principal=CAT, by=BEN, **ask)).allowed
    everywhere = {"permission": "registry.projects.create", "resource": ""}
    assert (await guarded.CheckAccess(principal=ROOT, by=ROOT, **everywhere)).project == "configuration"
    assert await denied(guarded.CheckAccess(principal=ROOT, by=BEN, **everywhere)) == "NOT_GRANTED"
    assert await denied(guarded.ReviewAccess(name=PROJECT_NAME, by=CAT)) == "NOT_GRANTED"
    report = await guarded.ReviewAccess(name=PROJECT_NAME, by=BEN)
    assert {one.principal for one in report.everywhere} == {ROOT, DORA}


async def test_an_emergency_opens_what_it_takes_and_its_review_closes_it(guarded: Office) -> None:
    await begin(guarded)
    take = {"name": PROJECT_NAME, "role": "archivist", "duration": {"seconds": 60}, "reason": "it burns"}
    assert await denied(guarded.DeclareEmergency(**take, by=CAT)) == "NOT_GRANTED"
    await guarded.GrantRole(name=PROJECT_NAME, principal=CAT, role="operator", by=BEN)
    await guarded.GrantRole(name=PROJECT_NAME, principal=DAN, role="author", by=BEN)
    await settled(guarded)
    await guarded.CreateModel(parent=PROJECT_NAME, model_id="fraud", by=DAN)
    await settled(guarded)
    version = await guarded.register(by=DAN)
    deprecate = {"name": version, "message": "burnt"}
    assert await denied(guarded.DeprecateVersion(**deprecate, by=CAT)) == "NOT_GRANTED"
    await guarded.DeclareEmergency(**take, by=CAT)
    await settled(guarded)
    await guarded.DeprecateVersion(**deprecate, by=CAT)
    await guarded.ReviewEmergency(name=PROJECT_NAME, emergency=1, justified=True, by=BEN)
    await settled(guarded)
    assert await denied(guarded.DeprecateVersion(**deprecate | {"message": "again"}, by=CAT)) == "NOT_GRANTED"


async def test_an_account_works_until_it_is_removed(guarded: Office) -> None:
    await begin(guarded)
    await guarded.RegisterServiceAccount(name=PROJECT_NAME, account=CI, owner=CAT, by=BEN)
    await guarded.GrantRole(name=PROJECT_NAME, principal=CI, role="author", by=BEN)
    await settled(guarded)
    await guarded.CreateModel(parent=PROJECT_NAME, model_id="fraud", by=CI)
    await settled(guarded)
    version = await guarded.register(by=CI)
    await settled(guarded)
    state = await guarded.GetVersion(name=version, by=CI)
    assert list(state.makers) == [CI, CAT]
    await guarded.RemoveServiceAccount(name=PROJECT_NAME, account=CI, by=BEN)
    await settled(guarded)
    assert await denied(guarded.GetVersion(name=version, by=CI)) == "ACCOUNT_NOT_REGISTERED"
