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
from access.matrix import ANYBODY, READING
from access.own import check_own
from access.references import Named, named
from kernel.errors import Denied, Invalid
from kernel.fold import Kind
from kernel.identity import SEEN, Caller, Method, Peer, Permit
from kernel.rooms import Rooms

_MOST_INDEXED = 4096
_NOTHING = ("",)  # The whole installation.
_DIGITS = 19
_ANYBODY = Permit(reason="ANYBODY")
_COLLECTIONS = ", ".join(READING)


class Credentials(Protocol):
    """Proves who calls."""

    async def caller(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        """Unauthenticated when the credentials are missing or wrong."""


class RoleAuthority:
    """Decides by the roles that the log has granted, and those the installation's settings grant.

    load: a project's newest state by name; peek: the same at once, None when it has to be loaded. seen: waits until the
    views have reached a revision; catch_up: until they hold what the log holds now.
    """

    def __init__(
        self,
        credentials: Credentials,
        load: Callable[[str], Awaitable[Any]],
        peek: Callable[[str], Any],
        seen: Callable[[int], Awaitable[None]],
        catch_up: Callable[[], Awaitable[object]],
        clock: Callable[[], datetime],
        administrators: Sequence[str] = (),
    ) -> None:
        self._credentials = credentials
        self._load = load
        self._peek = peek
        self._seen = seen
        self._catch_up = catch_up
        self._caught_up = False
        self._clock = clock
        self._configured = by_configuration(administrators)
        self._indexed: dict[str, tuple[Any, Grants]] = {}

    async def identify(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        return await self._credentials.caller(metadata, peer)

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        if method.permission in ANYBODY:  # How a service is doing can be asked also while its views stand still.
            return _ANYBODY
        await self._hold_everything()
        seen = metadata.get(SEEN, "")
        if seen.isascii() and seen.isdigit() and len(seen) < _DIGITS:
            await self._seen(int(seen))
        names, now = named(request), self._clock()
        targets = names.targets or _NOTHING
        reads: dict[str, int] = {}
        reason, limited, makers = "", False, []
        for place, name in enumerate((*targets, *names.references)):
            permission = method.permission if place < len(targets) else reading(name)
            among = await self.grants(_checked(name))
            for grants in among:
                if grants.revision:
                    reads[grants.name] = grants.revision
            for principal in caller.ids:
                outcome = _allowed(principal, permission, name, among, now)
                reason = reason or outcome.reason
                limited = limited or outcome.limited
                makers += [principal] if outcome.own_only else []
        return Permit(tuple(reads.items()), reason, partial(check_own, makers) if limited else None)

    async def _hold_everything(self) -> None:
        """While views are folded again grants are missing in them: nobody is refused for that, calls wait."""
        if not self._caught_up:
            await self._catch_up()
            self._caught_up = True

    async def may(self, caller: Caller, permission: str, resource: str) -> bool:
        await self._hold_everything()
        among, now = await self.grants(resource), self._clock()
        return all(decide(one, permission, resource, among, now).allowed for one in caller.ids)

    def named(self, method: Method, request: Message) -> Sequence[str]:
        found: Named = named(request)
        return (*found.targets, *found.references)

    async def grants(self, resource: str) -> Sequence[Grants]:
        """What may allow something on a resource: its project's grants, those of all projects, those of settings."""
        everywhere = self._known(EVERYWHERE) or await self._index(EVERYWHERE)
        project = project_name(resource)
        if not project or project == EVERYWHERE:
            return everywhere, self._configured
        return self._known(project) or await self._index(project), everywhere, self._configured

    def _known(self, project: str) -> Grants | None:
        """What was indexed, if the newest state here is still the one it was made from."""
        known = self._indexed.get(project)
        return known[1] if known is not None and known[0] is self._peek(project) else None

    async def _index(self, project: str) -> Grants:
        state = await self._load(project)
        grants = grants_of(project, state)
        if len(self._indexed) >= _MOST_INDEXED:
            self._indexed.clear()
        self._indexed[project] = (state, grants)
        return grants


def _allowed(principal: str, permission: str, name: str, among: Sequence[Grants], now: datetime) -> Outcome:
    """Whoever acts for somebody may do no more than either, so each of them is asked about."""
    outcome = decide(principal, permission, name, among, now)
    if not outcome.allowed:
        raise Denied(
            outcome.reason,
            sentence(outcome, principal, permission, name),
            metadata={"principal": principal, "permission": permission, "resource": name},
        )
    return outcome


def project_name(resource: str) -> str:
    """`projects/risk` of a name in it; empty for what is in no project."""
    parts = resource.split("/", 2)
    return "/".join(parts[:2]) if len(parts) > 1 and parts[0] == "projects" and parts[1] else ""


def reading(name: str) -> str:
    """The permission to read what a name names. Invalid for what cannot be a resource: nothing can be decided on it."""
    parts = _checked(name).split("/")
    permission = READING.get(parts[-2] if len(parts) % 2 == 0 else "")
    if permission is None:
        raise Invalid("NAME_FORMAT", f"{name!r} names no kind of resource; it ends in {_COLLECTIONS} and an id")
    return permission


def _checked(name: str) -> str:
    if name and not name.startswith("projects"):
        raise Invalid("NAME_FORMAT", f"{name!r} is not the name of a resource; names begin with projects/")
    return name


def authority(rooms: Rooms, credentials: Credentials | None = None, *, kind: Kind = KNOWN_PROJECT) -> RoleAuthority:
    """The authority of a service. credentials: by its settings when None. kind: how it folds projects."""
    return RoleAuthority(
        credentials or proofs(rooms.settings, rooms.clock),
        partial(rooms.states.load, kind),
        partial(rooms.states.peek, kind),
        rooms.position.wait,
        rooms.resources.catch_up,
        rooms.clock,
        [one for one in rooms.settings.administrators.split(",") if one],
    )
