"""Carries out an erasure: finds the facts that hold markers, erases what no hold keeps, and records what went."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import NamedTuple

from access.fold import EVERYWHERE
from kernel.names import project_of
from kernel.reactor import Reaction
from kernel.rooms import Rooms
from modelog.archive.v1 import erasures_pb2 as types
from modelog.archive.v1.types_pb2 import HOLD_STATE_ACTIVE, Hold
from modelog.texts import author_of, markers_in
from services.archive.domain import ERASURE, KNOWN_VERSION
from services.archive.domain.choosing import Candidate
from services.archive.domain.erasure import record
from services.archive.domain.hold import covers
from services.archive.domain.known import version_of
from services.archive.erasing.eraser import Eraser
from services.archive.erasing.queries import Marked, Marks

PORTION = 4000


class _Sorted(NamedTuple):
    """Facts of one portion: whose texts go, which keep theirs, and the markers that go."""

    erased: list[int]
    held: list[int]
    markers: list[str]


class Erasing:
    def __init__(self, rooms: Rooms, marks: Marks, eraser: Eraser) -> None:
        self._rooms = rooms
        self._marks = marks
        self._eraser = eraser

    async def carry_out(self, reaction: Reaction) -> None:
        """Each portion is erased before it is recorded; after a crash in between it is erased once more."""
        name, upto = reaction.fact.resource, reaction.revision
        await self._rooms.resources.wait(upto)
        scope: types.ErasureScope = reaction.event.scope
        number = 0
        async for portion, last in self._portions(project_of(name), scope, upto):
            number += 1
            await self._eraser.erase(portion.markers)
            if last and project_of(name) == EVERYWHERE and not portion.held:
                await self._eraser.sweep(author_of(scope.author))
            verb = partial(record, portion=number, erased=portion.erased, held=portion.held, upto=upto, complete=last)
            await self._rooms.transact(ERASURE, name, reaction.cause(f"erase-{number}"), verb)

    async def forget(self, version: str, upto: int) -> int:
        """Erases what was written about a version whose record has expired; how many facts held some of it."""
        scope, after, count = types.ErasureScope(resource=version), 0, 0
        while found := await self._marks.behind(after, upto, project_of(version), scope, PORTION):
            await self._eraser.erase(mark for one in found for mark in markers_in(one.payload))
            after, count = found[-1].revision, count + len(found)
        return count

    async def _portions(
        self, project: str, scope: types.ErasureScope, upto: int
    ) -> AsyncIterator[tuple[_Sorted, bool]]:
        """Each with whether it is the last; at least one."""
        holds, after = await self._marks.holds(), 0
        while True:
            found = await self._marks.behind(after, upto, project, scope, PORTION)
            last = len(found) < PORTION
            yield _sorted(found, await self._held(found, holds), scope), last
            if last:
                return
            after = found[-1].revision

    async def _held(self, found: Sequence[Marked], holds: Sequence[Hold]) -> frozenset[str]:
        """Resources under a hold: by their names, or since they are, or are below, a version that meets its query."""
        resources = {one.resource for one in found}
        held = {one for one in resources if any(covers(hold, one) for hold in holds)}
        asking = [one for one in holds if one.query and one.state == HOLD_STATE_ACTIVE]
        for resource in resources - held if asking else ():
            if version := version_of(resource):
                candidate = Candidate(await self._rooms.resources.load(KNOWN_VERSION, version))
                own = [one for one in asking if project_of(one.name) == project_of(resource)]
                held |= {resource for hold in own if candidate.meets(hold.query)}
        return frozenset(held)


def _sorted(found: Sequence[Marked], under_hold: frozenset[str], scope: types.ErasureScope) -> _Sorted:
    erased, held, markers = [], [], []
    only = f"text:{author_of(scope.author)}:" if scope.WhichOneof("what") == "author" else ""
    for one in found:
        mine = [mark for mark in markers_in(one.payload) if mark.startswith(only)]
        if one.resource in under_hold:
            held.append(one.revision)
        elif mine:
            erased.append(one.revision)
            markers.extend(mine)
    return _Sorted(erased, held, markers)
