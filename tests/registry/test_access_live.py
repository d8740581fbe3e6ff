"""Who may do what, over a live server: granting by twos, asking why, reviewing, and seeing only what one may see."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from access.matrix import ROLES
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1 import types_pb2 as types
from services.registry.servicer import RegistryServicer
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from tests.registry.build import ADA, BEN, CAT, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, office, refused

DAN, CI = "users/dan", "serviceaccounts/ci"
PUSH = "deployment.rollouts.request"


async def ask(registry: Office, who: str, permission: str, where: str = PROJECT_NAME, **more: Any) -> Any:
    return await registry.CheckAccess(principal=who, permission=permission, resource=where, **more)


async def test_a_production_role_is_granted_by_two_and_can_be_asked_about_at_any_moment(registry: Office) -> None:
    await registry.found_model()
    wish = {"name": PROJECT_NAME, "principal": CAT, "role": "deployer"}
    first = await registry.GrantRole(**wish, request_id="wish")
    assert first.state == types.GRANT_STATE_PROPOSED
    assert (await registry.GrantRole(**wish)).revision == first.revision
    second = await registry.GrantRole(**wish, by=BEN)
    assert second.state == types.GRANT_STATE_GRANTED
    assert await registry.GrantRole(**wish, request_id="wish") == first
    at = {"at_least": second.revision}
    told = await ask(registry, CAT, PUSH, read=at)
    assert (told.allowed, told.reason, told.binding.role) == (True, "GRANTED", "deployer")
    assert (told.binding.granted_by, told.binding.confirmed_by, told.project) == (ADA, BEN, PROJECT_NAME)
    assert dict(told.revisions) == {PROJECT_NAME: second.revision}
    before = await ask(registry, CAT, PUSH, read={"as_of_revision": first.revision})
    assert (before.allowed, before.reason) == (False, "NOT_GRANTED")
    assert not (await ask(registry, DAN, PUSH, read=at)).allowed
    assert (await ask(registry, DAN, "registry.projects.list", "")).reason == "ANYBODY"
    revoked = await registry.RevokeRole(name=PROJECT_NAME, principal=CAT, role="deployer")
    assert not (await ask(registry, CAT, PUSH, read={"at_least": revoked.revision})).allowed
    assert (await ask(registry, CAT, PUSH, read={"as_of_revision": second.revision})).allowed
    dry = await registry.GrantRole(**wish, validate_only=True)
    assert (dry.revision, dry.state) == (0, types.GRANT_STATE_UNSPECIFIED)


async def test_roles_of_a_model_and_roles_that_run_out_are_judged_at_the_moment_asked_about(registry: Office) -> None:
    await registry.found_model()
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    wish = {"name": PROJECT_NAME, "principal": CAT, "role": "author", "model": MODEL_NAME, "expire_time": soon}
    granted = await registry.GrantRole(**wish)
    at, version = {"at_least": granted.revision}, f"{MODEL_NAME}/versions/1"
    told = await ask(registry, CAT, "registry.versions.update", version, read=at)
    assert (told.allowed, told.reason, told.own_only) == (True, "GRANTED_ON_OWN", True)
    assert not (await ask(registry, CAT, "registry.versions.update", f"{MODEL_NAME}s/versions/1", read=at)).allowed
    await asyncio.sleep(1.6)
    assert (await ask(registry, CAT, "registry.versions.update", version, read=at)).reason == "GRANT_EXPIRED"
    then = {"as_of_revision": granted.revision}
    assert (await ask(registry, CAT, "registry.versions.update", version, read=then)).allowed
    moment = {"as_of_time": soon - timedelta(seconds=0.2)}
    assert (await ask(registry, CAT, "registry.versions.update", version, read=moment)).allowed
    later = await registry.SetTag(name=MODEL_NAME, key="k", value="v")
    past = {"as_of_revision": later.revision}
    assert (await ask(registry, CAT, "registry.versions.update", version, read=past)).reason == "GRANT_EXPIRED"


async def test_own_roles_accounts_and_emergencies(registry: Office, capsys: pytest.CaptureFixture[str]) -> None:
    await registry.found_model()
    await registry.DefineRole(name=PROJECT_NAME, role="curator", definition={"permissions": ["registry.tags.set"]})
    await registry.RegisterServiceAccount(name=PROJECT_NAME, account=CI, owner=BEN, description="builds")
    assert (await refused(registry.GrantRole(name=PROJECT_NAME, principal=CI, role="curator", by=BEN)))[1] == (
        "SELF_GRANT"
    )
    reply = await registry.GrantRole(name=PROJECT_NAME, principal=CI, role="curator")
    assert (await ask(registry, CI, "registry.tags.set", MODEL_NAME, read={"at_least": reply.revision})).allowed
    reply = await registry.RemoveServiceAccount(name=PROJECT_NAME, account=CI)
    told = await ask(registry, CI, "registry.tags.set", MODEL_NAME, read={"at_least": reply.revision})
    assert told.reason == "ACCOUNT_NOT_REGISTERED"
    await registry.RemoveRole(name=PROJECT_NAME, role="curator")
    taken = await registry.DeclareEmergency(
        name=PROJECT_NAME, role="operator", duration={"seconds": 600}, reason="it burns", by=CAT
    )
    assert taken.emergency == 1
    assert capsys.readouterr().out.count("emergency_declared") == 1
    told = await ask(registry, CAT, "monitoring.monitors.pause", read={"at_least": taken.revision})
    assert (told.allowed, told.binding.emergency, told.binding.expire_time) == (True, 1, taken.expire_time)
    own = registry.ReviewEmergency(name=PROJECT_NAME, emergency=1, justified=True, by=CAT)
    assert (await refused(own))[:2] == ("PERMISSION_DENIED", "SEPARATION_OF_DUTIES")
    done = await registry.ReviewEmergency(name=PROJECT_NAME, emergency=1, justified=True, by=BEN)
    state = await registry.GetProject(name=PROJECT_NAME, read={"at_least": done.revision})
    assert [(one.reason, one.reviewed_by) for one in state.emergencies] == [("it burns", BEN)]
    assert not (await ask(registry, CAT, "monitoring.monitors.pause", read={"at_least": done.revision})).allowed


async def test_access_is_reviewed_as_of_any_moment(registry: Office) -> None:
    await registry.found_model()
    await registry.CreateProject(project_id="all", by=DAN)
    before = await registry.live.rooms.resources.catch_up()
    await registry.RegisterServiceAccount(name=PROJECT_NAME, account=CI, owner=BEN)
    await registry.GrantRole(name=PROJECT_NAME, principal=CI, role="author")
    await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="approver", by=DAN)
    reply = await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="approver", by=ADA)
    report = await registry.ReviewAccess(name=PROJECT_NAME, read={"at_least": reply.revision})
    assert {one.principal: [held.role for held in one.bindings] for one in report.principals} == {
        ADA: ["admin"], CI: ["author"], BEN: ["approver"],
    }  # fmt: skip
    assert [one.principal for one in report.everywhere] == [DAN]
    by_principal = {one.principal: one for one in report.principals}
    assert by_principal[CI].owner == BEN
    assert list(by_principal[BEN].permissions) == sorted(ROLES["approver"])
    assert ("AUTHOR_AND_APPROVER", BEN) in [(one.reason, one.principal) for one in report.findings]
    assert report.revision == reply.revision
    early = await registry.ReviewAccess(name=PROJECT_NAME, read={"as_of_revision": before})
    assert [one.principal for one in early.principals] == [ADA]


async def test_of_many_grants_and_revocations_at_once_each_is_decided_on_what_is(registry: Office) -> None:
    """64 writers on one project: what they were answered is what the facts say, and no one person granted anything."""
    await registry.found_model()
    people = (ADA, BEN, CAT, DAN)

    async def one(number: int) -> str:
        by, principal = people[number % 4], f"users/u{number // 4 % 4}"
        wish = {"name": PROJECT_NAME, "principal": principal, "role": "deployer", "by": by}
        if number % 16 == 15:
            try:
                await registry.RevokeRole(**wish)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:  # It was not there yet, or not any more.
                    raise
            return "ended"
        reply = await registry.GrantRole(**wish)
        return f"{types.GrantState.Name(reply.state)} {reply.revision}"

    answers = await asyncio.gather(*(one(number) for number in range(64)))
    head = await registry.live.rooms.resources.catch_up()
    kinds = Counter(answer.partition(" ")[0] for answer in answers)
    assert {"GRANT_STATE_GRANTED", "GRANT_STATE_PROPOSED", "ended"} == set(kinds)
    for answer in answers:
        kind, _, revision = answer.partition(" ")
        if revision:
            state = await registry.GetProject(name=PROJECT_NAME, read={"as_of_revision": int(revision)})
            held = state.roles if kind == "GRANT_STATE_GRANTED" else state.role_proposals
            assert any(binding.role == "deployer" for binding in held), answer
    final = await registry.GetProject(name=PROJECT_NAME, read={"at_least": head})
    deployers = [binding for binding in final.roles if binding.role == "deployer"]
    assert all(binding.granted_by != binding.confirmed_by for binding in deployers)
    assert all(binding.confirmed_by for binding in deployers)
    assert len({binding.principal for binding in deployers}) == len(deployers)


async def test_two_administrators_at_once_over_two_processes_are_first_and_second(
    registry: Office, nats: NatsServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    await registry.found_model()
    async with office(nats, postgres, tmp_path, registry.live.schema, roles="rpc") as other:
        wishes = [{"name": PROJECT_NAME, "principal": f"users/u{number}", "role": "approver"} for number in range(12)]
        calls = [side.GrantRole(**wish, by=by) for wish in wishes for side, by in ((registry, ADA), (other, BEN))]
        replies = await asyncio.gather(*calls)
    both = {types.GRANT_STATE_PROPOSED, types.GRANT_STATE_GRANTED}
    for first, second in zip(replies[::2], replies[1::2], strict=True):
        assert {first.state, second.state} == both
    state = await registry.GetProject(name=PROJECT_NAME, read={"at_least": max(one.revision for one in replies)})
    approvers = [one for one in state.roles if one.role == "approver"]
    assert [{one.granted_by, one.confirmed_by} for one in approvers] == [{ADA, BEN}] * 12
    assert not state.role_proposals


@dataclass
class Visitor:
    """What a servicer asks of its caller, who may see some projects only."""

    seen: set[str]
    request: Any = None
    asked: list[str] = field(default_factory=list)

    async def may(self, permission: str, resource: str) -> bool:
        assert permission == "registry.projects.get"
        self.asked.append(resource)
        return resource in self.seen


async def test_projects_are_listed_to_those_who_may_see_them_page_by_page(registry: Office) -> None:
    names = [f"projects/p{number:02}" for number in range(40)]
    for name in names:
        reply = await registry.CreateProject(project_id=name.partition("/")[2])
    servicer: Any = RegistryServicer(registry.live.rooms)
    for step, size in ((1, 7), (3, 4), (7, 1), (39, 2), (20, 50)):
        visitor, found, token = Visitor(set(names[::step])), list[str](), ""
        while True:
            request = rpc.ListProjectsRequest(page_size=size, page_token=token)
            request.read.at_least = reply.revision
            body = await servicer.ListProjects(request, visitor)
            page = rpc.ListProjectsResponse.FromString(body)
            assert len(page.projects) <= size
            found += [one.name for one in page.projects]
            token = page.next_page_token
            if not token:
                break
        assert found == names[::step]
    nobody = rpc.ListProjectsResponse.FromString(await servicer.ListProjects(rpc.ListProjectsRequest(), Visitor(set())))
    assert not nobody.projects
