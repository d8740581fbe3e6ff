"""What a service is made of (`Blueprint`) and what the kernel hands to its parts (`Rooms`)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from kernel.fields import Searchable
from kernel.fold import Kind
from kernel.identity import Authority
from kernel.log import Log
from kernel.position import Position
from kernel.postgres import Pool
from kernel.projector import Project, Raw
from kernel.reactor import Reactions
from kernel.receiving import Receiver
from kernel.resources import Resources
from kernel.settings import Settings
from kernel.states import States
from kernel.texts import Texts
from kernel.transact import Transact


def now() -> datetime:
    """The server's clock: aware, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything a service's doors, reactions and controllers are built from.

    pool: reads the views. kept: reads and writes what stands in `<schema>_kept`.
    """

    transact: Transact
    resources: Resources
    states: States
    pool: Pool
    kept: Pool
    log: Log
    nats: Receiver
    position: Position
    settings: Any
    clock: Callable[[], datetime]
    texts: Texts


Controller = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Blueprint:
    """One service. The parts are built once per process, for the roles the process has."""

    name: str
    kinds: tuple[Kind, ...]
    doors: Callable[[Rooms], Sequence[tuple[ServiceDescriptor, Any]]]
    settings: type[Settings] = Settings
    # Who may do what, for every identity but `development`; None where only that one can be configured.
    authority: Callable[[Rooms], Authority] | None = None
    # Writes tables that are no resources, from facts with events of `projected` (any by default).
    project: Project | None = None
    projected: tuple[type[Message], ...] | None = None
    raw: Raw | None = None
    # The tables that raw writes, which the service compares with the log itself.
    raw_tables: tuple[str, ...] = ()
    # Kinds whose lists take filters and orders, with their fields.
    searchables: tuple[Searchable, ...] = ()
    reactions: Callable[[Rooms], Reactions] | None = None
    controllers: Callable[[Rooms], Sequence[Controller]] | None = None
    migrations: Path | None = None
    # The same for `<schema>_kept`, which a rebuild of the views does not drop.
    kept_migrations: Path | None = None
    # Opens and closes what only this service needs; an async generator function that yields once.
    lifespan: Callable[[Rooms], Any] | None = None
