"""The door of comparisons: versions side by side, with what happened to them and between them."""

import asyncio
from collections.abc import Sequence

from kernel.errors import NotFound
from kernel.fold import event_type
from kernel.log import Entry
from kernel.names import project_of
from kernel.rpc import Context
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.declare_pb2 import FactSummary, ServingPlace
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry import queries
from services.registry.domain import KNOWN_ENDPOINT, MODEL, VERSION
from services.registry.domain.compare import compare
from services.registry.servicer.room import Room

_MOST_FACTS = 500
_HISTORY = "archive.history.get"


class Comparisons(Room):
    async def CompareVersions(
        self, request: rpc.CompareVersionsRequest, context: Context
    ) -> rpc.CompareVersionsResponse:
        for index, name in enumerate(request.names):
            VERSION.pattern.ids(name, f"names[{index}]")
        found = await asyncio.gather(*(self._resources.load(VERSION, name, request.read) for name in request.names))
        for name, one in zip(request.names, found, strict=True):
            if not one.name:
                raise NotFound(VERSION.not_found_reason, f"there is no {name}", metadata={"resource": name})
        reply = compare(found, include_equal=request.include_equal)
        reply.incidents.extend(await queries.incidents(self._pool, request.names, request.read))
        if request.read.WhichOneof("as_of") is None:
            reply.serving.extend(await queries.serving_places(self._pool, request.names))
        else:
            reply.serving.extend(await self._served(request.names, request.read))
        if request.include_facts:
            await self._add_facts(reply, context)
        return reply

    async def _served(self, versions: Sequence[str], read: ReadOptions) -> list[ServingPlace]:
        """Where they served as of a past moment, in the order of now's."""
        projects = dict.fromkeys(project_of(name) for name in versions)
        endpoints = [one for name in projects for one in await self._all(KNOWN_ENDPOINT, name, read)]
        places = [
            ServingPlace(version=share.version, endpoint=one.name, percent=share.percent)
            for one in endpoints
            for share in one.traffic
            if share.version in versions
        ]
        return sorted(places, key=lambda one: (one.version, one.endpoint))[: queries.MOST_ROWS]

    async def _add_facts(self, reply: rpc.CompareVersionsResponse, context: Context) -> None:
        """What happened to the models and all their versions from the first registration among these to the last."""
        models = list(dict.fromkeys(VERSION.pattern.parent(name) for name in reply.names))
        if not all([await context.may(_HISTORY, model) for model in models]):
            reply.facts_withheld = True
            return
        first, last = await queries.registrations(self._pool, reply.names)
        subjects = [subject for model in models for subject in _subjects(model)]
        parts = await asyncio.gather(*(self._between(subject, first, last) for subject in subjects))
        entries = sorted((entry for part in parts for entry in part), key=lambda entry: entry.revision)
        reply.facts.extend(_summary(entry) for entry in entries[:_MOST_FACTS])
        reply.more_facts = len(entries) > _MOST_FACTS

    async def _between(self, subject: str, first: int, last: int) -> Sequence[Entry]:
        """The entries of a subject from `first` to `last`, one more at most than are shown."""
        entries: list[Entry] = []
        after = first - 1
        while len(entries) <= _MOST_FACTS and (entry := await self._log.next(subject, after)):
            if entry.revision > last:
                break
            entries.append(entry)
            after = entry.revision
        return entries


def _subjects(model: str) -> tuple[str, str]:
    """Where the facts of a model and those of its versions are."""
    own = MODEL.subject(model)
    return own, VERSION.subject(f"{model}/versions/1").rpartition(".")[0] + ".*"


def _summary(entry: Entry) -> FactSummary:
    fact = Fact.FromString(entry.payload)
    told = FactSummary(
        revision=entry.revision,
        resource=fact.resource,
        event=event_type(fact),
        actor=fact.actor.id,
        reason=fact.reason,
    )
    told.time.CopyFrom(fact.recorded_at)
    return told
