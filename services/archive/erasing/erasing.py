"""Carries out an erasure: finds the facts that hold markers, erases what no hold keeps, and records what went."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import NamedTuple

from kernel.names import project_of
from kernel.reactor import Reaction
from kernel.rooms import Rooms
from modelog.archive.v1 import erasures_pb2 as types
from modelog.archive.v1.types_pb2 import Hold
from modelog.texts import author_of, markers_in
from services.archive.domain import ERASURE
from services.archive.domain.erasure import EVERYTHING, record
from services.archive.domain.hold import covers
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
            if last and project_of(name) == EVERYTHING and not portion.held:
                await self._eraser.sweep(author_of(scope.author))
            verb = partial(record, portion=number, erased=portion.erased, held=portion.held, upto=upto, complete=last)
            await self._rooms.transact(ERASURE, name, reaction.cause(f"erase-{number}"), verb)

    async def _portions(
        self, project: str, scope: types.ErasureScope, upto: int
    ) -> AsyncIterator[tuple[_Sorted, bool]]:
        """Each with whether it is the last; at least one."""
        holds, after = await self._marks.holds(), 0
        while True:
            found = await self._marks.behind(after, upto, project, scope, PORTION)
            last = len(found) < PORTION
            yield _sorted(found, holds, scope), last
            if last:
                return
            after = found[-1].revision


def _sorted(found: Sequence[Marked], holds: Sequence[Hold], scope: types.ErasureScope) -> _Sorted:
    erased, held, markers = [], [], []
    only = f"text:{author_of(scope.author)}:" if scope.WhichOneof("what") == "author" else ""
    for one in found:
        mine = [mark for mark in markers_in(one.payload) if mark.startswith(only)]
        if any(covers(hold, one.resource) for hold in holds):
            held.append(one.revision)
        elif mine:
            erased.append(one.revision)
            markers.extend(mine)
    return _Sorted(erased, held, markers)
