"""Who calls. The development identity believes the caller; it is the only one until real credentials are configured."""

from collections.abc import Mapping
from typing import Protocol

from google.protobuf.message import Message

from kernel.errors import Unauthenticated
from modelog.type.v1.principal_pb2 import Principal

ACTOR = "x-modelog-actor"
ON_BEHALF_OF = "x-modelog-on-behalf-of"
_MOST_CHARACTERS = 256


class Authority(Protocol):
    """Establishes who calls and whether they may."""

    def principal(self, metadata: Mapping[str, str]) -> Principal:
        """The caller. Unauthenticated when the credentials are missing or wrong."""

    def authorize(self, principal: Principal, permission: str, request: Message) -> None:
        """Denied when the caller lacks the permission on what the parsed request names."""


class Development:
    """Everybody is who they say and may do everything. For loopback, tests and the embedded suite."""

    def principal(self, metadata: Mapping[str, str]) -> Principal:
        actor = metadata.get(ACTOR, "users/developer")
        if not 3 <= len(actor) <= _MOST_CHARACTERS or "/" not in actor or not actor.isprintable():
            raise Unauthenticated("ACTOR_FORMAT", f"{ACTOR} has to look like users/ada")
        return Principal(id=actor, auth_method="development")

    def authorize(self, principal: Principal, permission: str, request: Message) -> None:
        """Allows; the permission is declared and passed so that a real authority has nothing to add but its answer."""


def on_behalf_of(metadata: Mapping[str, str]) -> tuple[Principal, ...]:
    """Those for whom the caller says to act, nearest first."""
    names = [name.strip() for name in metadata.get(ON_BEHALF_OF, "")[:_MOST_CHARACTERS].split(",")]
    return tuple(Principal(id=name, auth_method="asserted") for name in names if name)
