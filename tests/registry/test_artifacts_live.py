"""Copies, derived versions, signed statements and policies of artifacts over a live registry."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kernel.digest import views_digest
from modelog.registry.v1 import artifacts_pb2 as artifacts
from modelog.registry.v1 import types_pb2 as types
from suite.nats_server import NatsServer
from suite.postgres_server import PostgresServer
from testkit.live import service
from tests.registry.build import ADA, BEN, CAT, DIGEST, MODEL_NAME, PROJECT_NAME, artifact
from tests.registry.office import Office, office, refused
from tests.registry.signing import EDWARDS, OTHER, public, signed
from tests.registry.test_roles_door import DORA, GUARDED, ROOT, settled

CREDIT = "projects/credit"


@pytest.fixture
async def guarded(nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str) -> AsyncIterator[Office]:
    """A registry that asks for roles: ada makes models in `risk`, ben in `credit`, and cat sees `risk` only."""
    settings: dict[str, Any] = {"schema": schema, "identity": "roles", "administrators": f"{ROOT},{DORA}"}
    async with service(GUARDED, nats, postgres, tmp_path, **settings) as live:
        office = Office(live)
        for project, author in ((PROJECT_NAME, ADA), (CREDIT, BEN)):
            await office.CreateProject(project_id=project.partition("/")[2], by=ROOT)
            await settled(office)
            await office.GrantRole(name=project, principal=author, role="author", by=DORA)
            await settled(office)
            await office.CreateModel(parent=project, model_id="fraud", by=author)
        await office.GrantRole(name=PROJECT_NAME, principal=CAT, role="viewer", by=DORA)
        await settled(office)
        yield office


async def test_a_version_is_copied_by_those_who_may_read_it_and_shown_to_those_who_may_read_the_copy(
    guarded: Office,
) -> None:
    registry, source = guarded, await guarded.register(framework="f")
    copy = {"parent": f"{CREDIT}/models/fraud", "source": source}
    assert (await refused(registry.CopyVersion(**copy, by=BEN)))[:2] == ("PERMISSION_DENIED", "NOT_GRANTED")
    assert (await refused(registry.CopyVersion(**copy, by=ADA)))[0] == "PERMISSION_DENIED"
    await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="viewer", by=DORA)
    await settled(registry)
    made = await registry.CopyVersion(**copy, by=BEN, request_id="copy")
    assert await registry.CopyVersion(**copy, by=BEN, request_id="copy") == made
    at = {"at_least": made.revision}
    state = await registry.GetVersion(name=made.name, read=at, by=BEN)
    assert (state.copied_from.version, state.framework, list(state.makers)) == (source, "f", [ADA, BEN])
    assert [one.name for one in (await registry.ListDerivedVersions(name=source, read=at, by=BEN)).derived] == [
        made.name
    ]
    assert not (await registry.ListDerivedVersions(name=source, read=at, by=CAT)).derived
    assert (await refused(registry.ListDerivedVersions(name=made.name, read=at, by=CAT)))[0] == "PERMISSION_DENIED"


async def test_what_was_derived_is_listed_in_pages_and_as_of_any_revision(registry: Office) -> None:
    await registry.found_model()
    parent = await registry.register()
    names = [await registry.register(parent_version=parent) for _ in range(11)]
    fifth = await registry.GetVersion(name=names[4], read={"at_least": 14})
    middle = fifth.revision
    copied = (await registry.CopyVersion(parent=MODEL_NAME, source=parent)).name
    at, found, token = {"at_least": middle + 7}, list[tuple[str, int]](), ""
    while True:
        page = await registry.ListDerivedVersions(name=parent, page_size=5, page_token=token, read=at)
        found += [(one.name, one.derivation) for one in page.derived]
        if not (token := page.next_page_token):
            break
    child, copy = artifacts.DERIVATION_CHILD, artifacts.DERIVATION_COPY
    assert found == [*((name, child) for name in names), (copied, copy)]
    for past in ({"as_of_revision": middle}, {"as_of_time": fifth.create_time}):
        early = await registry.ListDerivedVersions(name=parent, read=past)
        assert [one.name for one in early.derived] == names[:5]


async def test_statements_are_verified_stored_whole_and_read_as_of_any_revision(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    first = await registry.RecordProvenance(name=version, envelope=signed(DIGEST))
    assert first.provenance.outcome == artifacts.PROVENANCE_OUTCOME_UNKNOWN_KEY
    added = await registry.AddTrustedKey(name=PROJECT_NAME, public_key=public(EDWARDS).pem, description="ci")
    assert added.key_id == public(EDWARDS).id
    again = await registry.RecordProvenance(name=version, envelope=signed(DIGEST), request_id="again")
    assert (again.revision, again.provenance) == (first.revision, first.provenance)
    second = await registry.RecordProvenance(name=version, envelope=signed(DIGEST, predicate={}), by=BEN)
    assert second.provenance.outcome == artifacts.PROVENANCE_OUTCOME_VERIFIED
    other = registry.RecordProvenance(name=version, envelope=signed("cd" * 32))
    assert (await refused(other))[:2] == ("FAILED_PRECONDITION", "SUBJECT_MISMATCH")
    page = await registry.ListProvenance(name=version, page_size=1, read={"at_least": second.revision})
    assert (page.statements[0].envelope, page.next_page_token) == (signed(DIGEST), "1")
    rest = await registry.ListProvenance(name=version, page_token=page.next_page_token)
    assert [one.envelope for one in rest.statements] == [signed(DIGEST, predicate={})]
    early = await registry.ListProvenance(name=version, read={"as_of_revision": first.revision})
    assert [one.provenance.number for one in early.statements] == [1]
    revoked = await registry.RevokeTrustedKey(name=PROJECT_NAME, key_id=added.key_id)
    project = await registry.GetProject(name=PROJECT_NAME, read={"at_least": revoked.revision})
    assert project.trusted_keys[added.key_id].revoked_by == ADA


async def test_authors_sign_for_what_they_made_and_administrators_say_whose_keys_count(guarded: Office) -> None:
    version = await guarded.register()
    await guarded.RecordProvenance(name=version, envelope=signed(DIGEST))
    await guarded.GrantRole(name=PROJECT_NAME, principal=BEN, role="author", by=DORA)
    await settled(guarded)
    own = guarded.RecordProvenance(name=version, envelope=signed(DIGEST, OTHER), by=BEN)
    assert (await refused(own))[:2] == ("PERMISSION_DENIED", "NOT_YOUR_OWN")
    key = {"name": PROJECT_NAME, "public_key": public(EDWARDS).pem}
    assert (await refused(guarded.AddTrustedKey(**key, by=ADA)))[0] == "PERMISSION_DENIED"
    await guarded.AddTrustedKey(**key, by=ROOT)


async def test_sixteen_statements_at_once_are_numbered_without_gap(registry: Office) -> None:
    await registry.found_model()
    version = await registry.register()
    replies = await asyncio.gather(
        *(registry.RecordProvenance(name=version, envelope=signed(DIGEST, predicate={"n": n})) for n in range(16))
    )
    assert sorted(one.provenance.number for one in replies) == list(range(1, 17))
    page = await registry.ListProvenance(name=version, read={"at_least": max(one.revision for one in replies)})
    recorded = {one.provenance.number: one.envelope for one in page.statements}
    for number, reply in enumerate(replies):
        assert recorded[reply.provenance.number] == signed(DIGEST, predicate={"n": number})


async def test_64_copies_and_registrations_at_once_get_the_numbers_2_to_65(registry: Office) -> None:
    await registry.found_model()
    source = await registry.register()

    async def one(number: int) -> str:
        if number % 2:
            return await registry.register(framework=f"f{number}")
        reply = await registry.CopyVersion(parent=MODEL_NAME, source=source)
        name: str = reply.name
        return name

    names = await asyncio.gather(*(one(number) for number in range(64)))
    assert sorted(int(name.rpartition("/")[2]) for name in names) == list(range(2, 66))


async def test_a_policy_of_artifacts_is_asked_when_registering(registry: Office) -> None:
    await registry.found_model()
    strict = types.Policy(allowed_formats=["onnx"], dirty_tree=artifacts.DIRTY_TREE_REFUSE, require_commit=True)
    await registry.SetPolicy(name=PROJECT_NAME, policy=strict)
    for source, reason in (({}, "COMMIT_REQUIRED"), ({"commit": "ab12345", "dirty": True}, "DIRTY_TREE")):
        assert (await refused(registry.register(source=source)))[1] == reason
    good = {"parent": MODEL_NAME, "source": {"commit": "ab12345"}}
    other = artifact()
    other.format = "safetensors"
    assert (await refused(registry.RegisterVersion(**good, artifact=other)))[1] == "FORMAT_NOT_ALLOWED"
    await registry.RegisterVersion(**good, artifact=artifact())


async def test_rebuilt_tables_of_statements_and_derivations_equal_the_live_ones(
    registry: Office, nats: NatsServer, postgres: PostgresServer, tmp_path: Path, schema: str
) -> None:
    await registry.found_model()
    await registry.AddTrustedKey(name=PROJECT_NAME, public_key=public(EDWARDS).pem)
    version = await registry.register()
    for number in range(5):
        await registry.RecordProvenance(name=version, envelope=signed(DIGEST, predicate={"n": number}))
        await registry.CopyVersion(parent=MODEL_NAME, source=version)
        version = await registry.register(parent_version=version)
    await registry.RevokeTrustedKey(name=PROJECT_NAME, key_id=public(EDWARDS).id)
    head = await registry.live.rooms.resources.catch_up()
    async with office(nats, postgres, tmp_path, f"{schema}_again", roles="projector") as again:
        await again.live.rooms.resources.wait(head)
        live, rebuilt = registry.live, again.live
        digests = await views_digest(live.rooms.pool, live.schema)
        assert {"derived", "provenance", "version"} <= set(digests)
        assert await views_digest(rebuilt.rooms.pool, rebuilt.schema) == digests
