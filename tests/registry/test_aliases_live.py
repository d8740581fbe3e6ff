"""Aliases over a live server: the way back, the history, the race, protection."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import declare_pb2 as declare
from modelog.registry.v1 import types_pb2 as types
from tests.registry.build import ADA, BEN, MODEL_NAME, PROJECT_NAME
from tests.registry.office import Office, refused

CHAMPION = {"name": MODEL_NAME, "alias": "champion"}


async def moves_of(registry: Office, alias: str = "champion", **read: Any) -> list[declare.AliasMove]:
    """Every move, oldest first, page by page."""
    found: list[declare.AliasMove] = []
    token = ""
    while True:
        page = await registry.ListAliasMoves(
            parent=MODEL_NAME, alias=alias, page_size=7, page_token=token, read=read or None
        )
        found += page.moves
        token = page.next_page_token
        if not token:
            return found[::-1]


async def test_an_alias_is_assigned_swapped_and_rolled_back_and_its_history_tells_who_and_why(
    registry: Office,
) -> None:
    await registry.found_model()
    one, two, three = [await registry.register() for _ in range(3)]
    await registry.AssignAlias(**CHAMPION, version=one, reason="first")
    moved = await registry.AssignAlias(**CHAMPION, version=two, by=BEN)
    assert moved.displaced_version == one
    await registry.AssignAlias(name=MODEL_NAME, alias="challenger", version=three)
    swapped = await registry.SwapAliases(**CHAMPION, other_alias="challenger", request_id="swap")
    assert (swapped.version, swapped.other_version) == (three, two)
    assert await registry.SwapAliases(**CHAMPION, other_alias="challenger", request_id="swap") == swapped
    back = await registry.RollBackAlias(**CHAMPION, reason="worse than before", request_id="back")
    assert (back.version, back.displaced_version) == (two, three)
    assert await registry.RollBackAlias(**CHAMPION, reason="worse than before", request_id="back") == back
    further = await registry.RollBackAlias(**CHAMPION)
    assert (further.version, further.displaced_version) == (one, two)
    assert (await refused(registry.RollBackAlias(**CHAMPION)))[1] == "NOTHING_TO_ROLL_BACK"
    removed = await registry.RemoveAlias(**CHAMPION)
    moves = await moves_of(registry, at_least=removed.revision)
    kinds = [declare.AliasMoveKind.Name(move.kind).removeprefix("ALIAS_MOVE_KIND_") for move in moves]
    assert kinds == ["ASSIGNED", "ASSIGNED", "SWAPPED", "ROLLED_BACK", "ROLLED_BACK", "REMOVED"]
    assert [move.to_version for move in moves] == [one, two, three, two, one, ""]
    assert [move.from_version for move in moves] == ["", one, two, three, two, one]
    assert (moves[0].moved_by, moves[0].reason, moves[1].moved_by) == (ADA, "first", BEN)
    assert moves[3].reason == "worse than before"
    assert all(move.move_time.ToSeconds() > 0 for move in moves)
    then = await moves_of(registry, as_of_revision=moved.revision)
    assert [move.to_version for move in then] == [one, two]
    other = await moves_of(registry, "challenger")
    assert [(move.from_version, move.to_version) for move in other] == [("", three), (three, two)]
    assert len(await moves_of(registry, "")) == 8


async def test_64_writers_on_one_alias_leave_one_chain_without_a_lost_move(registry: Office) -> None:
    """Assigning, swapping and rolling back at once: what each answered is what the history says, in one chain."""
    await registry.found_model()
    versions = [await registry.register() for _ in range(4)]
    first = await registry.AssignAlias(**CHAMPION, version=versions[0])
    challenger = await registry.AssignAlias(name=MODEL_NAME, alias="challenger", version=versions[1])

    async def write(number: int) -> tuple[int, str]:
        """Revision and the version the alias points to by then; nothing where there was no way back."""
        if number % 4 == 0:
            swapped = await registry.SwapAliases(**CHAMPION, other_alias="challenger")
            return swapped.revision, swapped.version
        if number % 4 == 1:
            try:
                back = await registry.RollBackAlias(**CHAMPION)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                return 0, ""
            return back.revision, back.version
        version = versions[number % 3 + 1]
        return (await registry.AssignAlias(**CHAMPION, version=version)).revision, version

    answers = await asyncio.gather(*(write(number) for number in range(64)))
    head = await registry.live.rooms.resources.catch_up()
    moves = await moves_of(registry, at_least=head)
    at = {move.revision: move for move in moves}
    assert len(at) == len(moves)
    before = ""
    for move in moves:
        assert move.from_version == before
        before = move.to_version
    model = await registry.GetModel(name=MODEL_NAME, read={"at_least": head})
    assert model.aliases["champion"].version == before
    # Whoever is told "already so" is told of an earlier move; and every move is the answer of somebody.
    told = {revision for revision, _ in answers if revision}
    assert told - {challenger.revision} == set(at) - {first.revision} | (told & {first.revision})
    for revision, version in answers:
        if revision in at:
            assert at[revision].to_version == version
    written = [move for move in moves if move.kind == declare.ALIAS_MOVE_KIND_ROLLED_BACK]
    assert len(written) == len({revision for n, (revision, _) in enumerate(answers) if n % 4 == 1 and revision})


async def test_a_protected_alias_is_moved_by_its_role_to_versions_in_its_phase_and_the_fact_says_what_was_read(
    registry: Office,
) -> None:
    await registry.found_model()
    version = await registry.register()
    guarded = types.ProtectedAlias(alias="champion", role="validator", phases=[types.PHASE_TESTING])
    await registry.SetPolicy(name=PROJECT_NAME, policy=types.Policy(protected_aliases=[guarded]))
    assign = {**CHAMPION, "version": version}
    assert (await refused(registry.AssignAlias(**assign)))[:2] == ("PERMISSION_DENIED", "ALIAS_PROTECTED")
    granted = await registry.GrantRole(name=PROJECT_NAME, principal=BEN, role="validator")
    assert (await refused(registry.AssignAlias(**assign, by=BEN)))[:2] == ("FAILED_PRECONDITION", "PHASE_NOT_ADMITTED")
    await registry.ChangeStage(name=version, to_stage="testing")
    reply = await registry.AssignAlias(**assign, by=BEN)
    entry = await registry.live.rooms.log.next("lifecycle.registry.risk.models.fraud", reply.revision - 1)
    assert entry is not None
    reads = {read.resource: read.revision for read in Fact.FromString(entry.payload).reads}
    assert reads[PROJECT_NAME] == granted.revision
    assert set(reads) == {PROJECT_NAME, version, "projects/all"}


async def test_a_project_is_described_anew(registry: Office) -> None:
    await registry.found_model()
    change = {"title": "Credit risk", "update_mask": {"paths": ["title"]}}
    reply = await registry.UpdateProject(name=PROJECT_NAME, **change)
    project = await registry.GetProject(name=PROJECT_NAME, read={"at_least": reply.revision})
    assert (project.title, project.description, project.generation) == ("Credit risk", "", 2)
    again = await registry.UpdateProject(name=PROJECT_NAME, **change, etag="2")
    assert again.revision == reply.revision
    stale = registry.UpdateProject(name=PROJECT_NAME, **change, etag="1")
    assert (await refused(stale))[:2] == ("ABORTED", "ETAG_MISMATCH")
    unknown = registry.UpdateProject(name=PROJECT_NAME, title="x", update_mask={"paths": ["name"]})
    assert (await refused(unknown))[2] == ["update_mask"]
