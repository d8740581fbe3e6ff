"""The authority that the door of every service asks: credentials to a caller, roles as folded to a permit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from google.protobuf.message import Message

from access.credentials import proofs
from access.decision import Outcome, decide, sentence
from access.fold import EVERYWHERE, KNOWN_PROJECT
from access.grants import Grants, by_configuration, grants_of
from access.matrix import READING
from access.own import check_own
from access.references import Named, named
from kernel.errors import Denied
from kernel.fold import Kind
from kernel.identity import SEEN, Caller, Method, Peer, Permit
from kernel.rooms import Rooms
from modelog.log.v1.fact_pb2 import Read

_MOST_INDEXED = 4096


class Credentials(Protocol):
    """Proves who calls."""

    async def caller(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        """Unauthenticated when the credentials are missing or wrong."""


class RoleAuthority:
    """Decides by the roles that the log has granted, and those the installation's settings grant.

    load: a project's newest state by name. seen: waits until the views have reached a revision.
    """

    def __init__(
        self,
        credentials: Credentials,
        load: Callable[[str], Awaitable[Any]],
        seen: Callable[[int], Awaitable[None]],
        clock: Callable[[], datetime],
        administrators: Sequence[str] = (),
    ) -> None:
        self._credentials = credentials
        self._load = load
        self._seen = seen
        self._clock = clock
        self._configured = by_configuration(administrators)
        self._indexed: dict[str, tuple[Any, Grants]] = {}

    async def identify(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        return await self._credentials.caller(metadata, peer)

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        seen = metadata.get(SEEN, "")
        if seen.isascii() and seen.isdigit() and len(seen) < 19:
            await self._seen(int(seen))
        names = named(request)
        asked = [(method.permission, name) for name in names.targets or ("",)]
        asked += [(reading(name), name) for name in names.references]
        outcomes: list[Outcome] = []
        among: dict[str, Grants] = {}
        for permission, name in asked:
            grants = await self.grants(name)
            among.update((one.name, one) for one in grants)
            outcomes += self._allowed(caller, permission, name, grants)
        reads = tuple(Read(resource=one.name, revision=one.revision) for one in among.values() if one.revision)
        if any(outcome.own_only for outcome in outcomes):
            return Permit(reads, "GRANTED_ON_OWN", partial(check_own, caller.ids))
        return Permit(reads, outcomes[0].reason)

    async def may(self, caller: Caller, permission: str, resource: str) -> bool:
        among, now = await self.grants(resource), self._clock()
        return all(decide(one, permission, resource, among, now).allowed for one in caller.ids)

    def named(self, method: Method, request: Message) -> Sequence[str]:
        found: Named = named(request)
        return (*found.targets, *found.references)

    async def grants(self, resource: str) -> Sequence[Grants]:
        """What may allow something on a resource: its project's grants, those of all projects, those of settings."""
        project = project_name(resource)
        places = (project, EVERYWHERE) if project and project != EVERYWHERE else (EVERYWHERE,)
        return (*[await self._index(place) for place in places], self._configured)

    def _allowed(self, caller: Caller, permission: str, name: str, among: Sequence[Grants]) -> list[Outcome]:
        """Whoever acts for somebody may do no more than either: all of them have to be allowed."""
        outcomes = []
        for principal in caller.ids:
            outcome = decide(principal, permission, name, among, self._clock())
            if not outcome.allowed:
                raise Denied(
                    outcome.reason,
                    sentence(outcome, principal, permission, name),
                    metadata={"principal": principal, "permission": permission, "resource": name},
                )
            outcomes.append(outcome)
        return outcomes

    async def _index(self, project: str) -> Grants:
        state = await self._load(project)
        known = self._indexed.get(project)
        if known is not None and known[0] is state:
            return known[1]
        grants = grants_of(project, state)
        if len(self._indexed) >= _MOST_INDEXED:
            self._indexed.clear()
        self._indexed[project] = (state, grants)
        return grants


def project_name(resource: str) -> str:
    """`projects/risk` of a name in it; empty for what is in no project."""
    parts = resource.split("/", 2)
    return "/".join(parts[:2]) if len(parts) > 1 and parts[0] == "projects" and parts[1] else ""


def reading(name: str) -> str:
    """The permission to read what a name names; one that nobody holds for what is no resource."""
    parts = name.split("/")
    return READING.get(parts[-2] if len(parts) % 2 == 0 else "", "none")


def authority(rooms: Rooms, credentials: Credentials | None = None, *, kind: Kind = KNOWN_PROJECT) -> RoleAuthority:
    """The authority of a service. credentials: by its settings when None. kind: how it folds projects."""
    return RoleAuthority(
        credentials or proofs(rooms.settings, rooms.clock),
        partial(rooms.states.load, kind),
        rooms.position.wait,
        rooms.clock,
        [one for one in rooms.settings.administrators.split(",") if one],
    )
