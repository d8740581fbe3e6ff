"""Who calls, and whether they may: what the door asks of an authority. The development identity believes the caller."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from kernel.errors import Unauthenticated
from modelog.type.v1.principal_pb2 import Principal

ACTOR = "x-modelog-actor"
ON_BEHALF_OF = "x-modelog-on-behalf-of"
# The newest revision the caller has seen: a decision about access is never older than that.
SEEN = "x-modelog-revision"
# How far the clocks of those who issue credentials and of those who check them may be apart.
LEEWAY_SECONDS = 60.0
_MOST_CHARACTERS = 256


class Peer(NamedTuple):
    """The other end of the connection. uris: names in its verified certificate, empty without one."""

    address: str
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and for whom, nearest first. expires: when the credentials do; None when they do not say it."""

    principal: Principal
    on_behalf_of: tuple[Principal, ...] = ()
    expires: datetime | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Principal ids of everybody involved, the caller first."""
        return (self.principal.id, *(one.id for one in self.on_behalf_of))


@dataclass(frozen=True, slots=True)
class Method:
    """One method as an authority sees it. path: `modelog.registry.v1.RegistryService/GetVersion`."""

    path: str
    permission: str
    descriptor: MethodDescriptor
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """A call was allowed. reads: the states of access it was decided on, by name and revision. reason: in UPPER_SNAKE.

    check: what could only be decided on the resource itself, asked under the guard of the append with the resource and
    the others that the decision reads; raises Denied.
    """

    reads: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    check: Callable[[Any, Sequence[Any]], None] | None = None


class Authority(Protocol):
    """Establishes who calls and whether they may."""

    async def identify(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        """The caller. Unauthenticated when the credentials are missing or wrong."""

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        """Denied when the caller lacks the method's permission on what the parsed request names."""

    async def may(self, caller: Caller, permission: str, resource: str) -> bool:
        """Whether the caller has a permission on one resource; for replies that hold only what the caller may see."""

    def named(self, method: Method, request: Message) -> Sequence[str]:
        """The resources a request names, for the record."""


class Development:
    """Everybody is who they say and may do everything. For loopback, tests and benchmarks."""

    async def identify(self, metadata: Mapping[str, str], peer: Peer) -> Caller:
        actor = metadata.get(ACTOR, "users/developer")
        if not 3 <= len(actor) <= _MOST_CHARACTERS or "/" not in actor or not actor.isprintable():
            raise Unauthenticated("ACTOR_FORMAT", f"{ACTOR} has to look like users/ada")
        return Caller(Principal(id=actor, auth_method="development"), on_behalf_of(metadata))

    async def authorize(self, caller: Caller, method: Method, request: Message, metadata: Mapping[str, str]) -> Permit:
        return _ALLOWED

    async def may(self, caller: Caller, permission: str, resource: str) -> bool:
        return True

    def named(self, method: Method, request: Message) -> Sequence[str]:
        """By convention alone (AIP): fields `name` and `parent`."""
        return [name for field in ("name", "parent") if (name := getattr(request, field, ""))]


_ALLOWED = Permit(reason="DEVELOPMENT")


def on_behalf_of(metadata: Mapping[str, str]) -> tuple[Principal, ...]:
    """Those for whom the caller says to act, nearest first."""
    names = [name.strip() for name in metadata.get(ON_BEHALF_OF, "")[:_MOST_CHARACTERS].split(",")]
    return tuple(Principal(id=name, auth_method="asserted") for name in names if name)
