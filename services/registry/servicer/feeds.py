"""The door of what waits for somebody, and of what happened to what they watch."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from access.fold import EVERYWHERE
from kernel.errors import NotFound
from kernel.fold import event_type
from kernel.page_tokens import place
from kernel.resources import PAGE_SIZE
from kernel.rpc import Context
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_service_pb2 as rpc
from modelog.registry.v1.collaboration_pb2 import Thread, Watch, WatchSetting
from modelog.registry.v1.types_pb2 import Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.collaboration import former, queries
from services.registry.collaboration.queries import Happened, Window
from services.registry.collaboration.tasks import Person, is_muted, tasks_of
from services.registry.domain import MODEL, PROJECT, THREAD, VERSION, WATCH
from services.registry.domain.access import Access
from services.registry.domain.teams import known_as
from services.registry.domain.watches import watch_name
from services.registry.servicer.room import Room, whose

_SHOWN = (PROJECT, MODEL, VERSION, THREAD)
_MOST_ACTIVITIES = 200
_ALL_BELOW = ("projects", "models")
# What a task list asks about permissions.
_ASKED_OF_PROJECT = ("registry.roles.grant", "registry.emergencies.review")
_ASKED_OF_VERSION = ("registry.reviews.submit", "registry.findings.confirm")


class Feeds(Room):
    async def ListTasks(self, request: rpc.ListTasksRequest, context: Context) -> rpc.ListTasksResponse:
        person, access = await self._person(request.parent, request.read, context)
        versions, threads, markers = await self._waiting(person, request)
        allowed = {(one, request.parent): await context.may(one, request.parent) for one in _ASKED_OF_PROJECT}
        for version in versions:
            allowed |= {(one, version.name): await context.may(one, version.name) for one in _ASKED_OF_VERSION}
        known = person._replace(markers=markers, may=lambda permission, name: allowed[permission, name])
        tasks = tasks_of(known, access, versions, threads)
        first, size = place(request.page_token), request.page_size or PAGE_SIZE
        more = str(first + size) if len(tasks) > first + size else ""
        return rpc.ListTasksResponse(tasks=tasks[first : first + size], next_page_token=more)

    async def _waiting(
        self, person: Person, request: rpc.ListTasksRequest
    ) -> tuple[Sequence[Version], Sequence[Thread], Mapping[str, int]]:
        """What may wait, and how far threads are read; as of a past moment not at all, for that is no fact."""
        if request.read.WhichOneof("as_of"):
            then = await former.waiting(self._resources, request.parent, person.parts, request.read)
            return then.versions, then.threads, {}
        versions = await queries.waiting_versions(self._pool, request.parent)
        threads = await queries.threads_of(self._pool, request.parent, list(person.names))
        return versions, threads, await queries.markers(self._kept, person.principal, [one.name for one in threads])

    async def ListActivity(self, request: rpc.ListActivityRequest, context: Context) -> rpc.ListActivityResponse:
        person, _ = await self._person(request.parent, request.read, context)
        exact, below = _scope(person)
        size = min(request.page_size or PAGE_SIZE, _MOST_ACTIVITIES)
        window = await self._window(request)
        found = await queries.happened(self._pool, _SHOWN, exact, below, window, size + 1)
        heard = [one for one in found[:size] if not is_muted(person.settings, _watched_of(one.name))]
        facts = await asyncio.gather(*(self._fact(one) for one in heard))
        shown = [
            rpc.Activity(revision=one.revision, fact=fact)
            for one, fact in zip(heard, facts, strict=True)
            if fact is not None and _is_wanted(person.settings, fact)
        ]
        more = str(found[size - 1].revision) if len(found) > size else ""
        return rpc.ListActivityResponse(activities=shown, next_page_token=more)

    async def _person(self, project: str, read: ReadOptions, context: Context) -> tuple[Person, Access]:
        PROJECT.pattern.ids(project, "parent")
        state = await self._resources.load(PROJECT, project, read)
        if not state.name:
            raise NotFound(PROJECT.not_found_reason, f"there is no {project}", metadata={"resource": project})
        everywhere = await self._resources.load(PROJECT, EVERYWHERE, read)
        principal = whose(context.caller)
        watch: Watch = await self._resources.load(WATCH, watch_name(project, principal), read)
        names = known_as([principal], state, everywhere)
        parts = await queries.parts(self._pool, project, names, read)
        if read.WhichOneof("as_of"):
            for model in await former.owned(self._resources, project, list(names), read):
                parts.setdefault(model, set()).add("owner")
        person = Person(principal, names, parts, lambda *_: False, {}, dict(watch.settings))
        return person, Access(state, everywhere, await self._moment(read, context.now))

    async def _window(self, request: rpc.ListActivityRequest) -> Window:
        before = place(request.page_token) or Window().before
        if request.read.as_of_revision:
            before = min(before, request.read.as_of_revision + 1)
        until: datetime | None = None
        if request.read.HasField("as_of_time"):
            until = request.read.as_of_time.ToDatetime(tzinfo=UTC)
        await self._resources.settle(request.read)
        return Window(before, until)

    async def _fact(self, one: Happened) -> Fact | None:
        """From the log itself; None where what stands there is no fact, which its resource's quarantine tells."""
        entry = await self._log.next("lifecycle.>", one.revision - 1)
        if entry is None or entry.revision != one.revision:
            return None
        fact: Any = Fact.FromString(entry.payload)
        return fact if fact.resource == one.name else None


def _scope(person: Person) -> tuple[list[str], list[str]]:
    """Resources whose own facts are shown, and those below which everything is: by setting, and by taking part."""
    set_names = [name for name, setting in person.settings.items() if not setting.muted]
    exact = [*person.parts, *set_names]
    below = [name for name, why in person.parts.items() if "owner" in why]
    below += [name for name in set_names if name.split("/")[-2] in _ALL_BELOW]
    return list(dict.fromkeys(exact)), list(dict.fromkeys(below))


def _watched_of(name: str) -> str:
    """What settings speak of: a thread belongs to its model."""
    return name.rpartition("/threads/")[0] or name


def _is_wanted(settings: Mapping[str, WatchSetting], fact: Fact) -> bool:
    """Whether the most particular setting for the resource, if any, names this kind of fact."""
    name = _watched_of(fact.resource)
    while name:
        if name in settings:
            kinds: Collection[str] = settings[name].event_types
            return not kinds or event_type(fact).rpartition(".")[2] in kinds
        name = "/".join(name.split("/")[:-2])
    return True
