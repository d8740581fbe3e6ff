"""Tables that are not resources: what serves where, what is held, which versions retired and what came of which, signed
statements, how aliases moved, incidents, and who takes part in what."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from kernel.folding import Folded
from kernel.names import sort_key
from modelog.registry.v1 import artifacts_events_pb2 as evidence
from modelog.registry.v1 import declare_events_pb2 as declared
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.artifacts_pb2 import DERIVATION_CHILD, DERIVATION_COPY
from modelog.registry.v1.declare_pb2 import (
    ALIAS_MOVE_KIND_ASSIGNED,
    ALIAS_MOVE_KIND_REMOVED,
    ALIAS_MOVE_KIND_ROLLED_BACK,
    ALIAS_MOVE_KIND_SWAPPED,
)
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from services.registry.collaboration import projections as collaboration
from services.registry.domain import KNOWN_ENDPOINT, KNOWN_HOLD, endpoint, hold
from services.registry.domain.incidents import INCIDENTS

MOVING = (facts.AliasAssigned, facts.AliasRemoved, declared.AliasesSwapped, declared.AliasRolledBack)
PROJECTED = (
    *endpoint.HEARD,
    *hold.HEARD,
    facts.VersionRegistered,
    facts.VersionRetired,
    VersionRestored,
    evidence.ProvenanceRecorded,
    *MOVING,
    *INCIDENTS,
    *collaboration.PROJECTED,
)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Takes part in the transaction of each batch."""
    await _serving(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_ENDPOINT})
    await _held(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_HOLD})
    await _retired(connection, folded)
    await _derived(connection, [one for one in folded if isinstance(one.event, facts.VersionRegistered)])
    await _provenance(connection, [one for one in folded if isinstance(one.event, evidence.ProvenanceRecorded)])
    if moves := [(one, move) for one in folded for move in _moves_of(one)]:
        await _moved(connection, moves)
    if incidents := [one for one in folded if type(one.event) in INCIDENTS and one.state.version]:
        await _happened(connection, incidents)
    await collaboration.project(connection, folded)


async def _retired(connection: Any, folded: Sequence[Folded]) -> None:
    """As the last of its facts in the batch leaves each version."""
    last = {
        one.fact.resource: one.event for one in folded if isinstance(one.event, facts.VersionRetired | VersionRestored)
    }
    if last:
        gone = [name for name, event in last.items() if isinstance(event, facts.VersionRetired)]
        await connection.execute("delete from retired where version = any($1::text[])", list(last))
        await connection.execute("insert into retired (version) select * from unnest($1::text[])", gone)


async def _held(connection: Any, holds: dict[str, Any]) -> None:
    """What each hold that the batch touched covers now."""
    if not holds:
        return
    covered = [(name, one) for name, state in holds.items() if not state.released for one in state.resources]
    await connection.execute("delete from held where hold = any($1::text[])", list(holds))
    await connection.execute(
        "insert into held (hold, resource) select * from unnest($1::text[], $2::text[]) on conflict do nothing",
        [name for name, _ in covered],
        [resource for _, resource in covered],
    )


async def _serving(connection: Any, endpoints: dict[str, Any]) -> None:
    """The newest split of each endpoint the batch touched; one version may stand in it only once."""
    if not endpoints:
        return
    shares = {
        (name, share.version): share.percent for name, endpoint in endpoints.items() for share in endpoint.traffic
    }
    await connection.execute("delete from serving where endpoint = any($1::text[])", list(endpoints))
    await connection.execute(
        "insert into serving (endpoint, version, percent) select * from unnest($1::text[], $2::text[], $3::integer[])",
        [name for name, _ in shares],
        [version for _, version in shares],
        list(shares.values()),
    )


async def _moved(connection: Any, moves: Sequence[tuple[Folded, tuple[str, int, str, str]]]) -> None:
    await connection.executemany(
        "insert into alias_move (model, revision, alias, kind, from_version, to_version, recorded_at, actor, reason)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [(one.state.name, one.revision, *move, _time(one), one.fact.actor.id, one.fact.reason) for one, move in moves],
    )


async def _happened(connection: Any, incidents: Sequence[Folded]) -> None:
    await connection.executemany(
        "insert into incident (version, revision, kind, resource, summary, recorded_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        [
            (one.state.version, one.revision, INCIDENTS[type(one.event)], one.state.name, one.state.summary, _time(one))
            for one in incidents
        ],
    )


async def _derived(connection: Any, registered: Sequence[Folded]) -> None:
    """One row for the parent of a version, one for what it is a copy of."""
    rows = [
        (origin, one.state.name, sort_key(one.state.name), derivation, one.revision, _time(one))
        for one in registered
        for origin, derivation in (
            (one.state.parent_version, DERIVATION_CHILD),
            (one.state.copied_from.version, DERIVATION_COPY),
        )
        if origin
    ]
    if rows:
        await connection.execute(
            "insert into derived (origin, version, sort, derivation, revision, recorded_at) select * from unnest("
            "$1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::timestamptz[])",
            *map(list, zip(*rows, strict=True)),
        )


async def _provenance(connection: Any, recorded: Sequence[Folded]) -> None:
    events: list[tuple[str, Any]] = [(one.fact.resource, one.event) for one in recorded]
    rows = [(version, event.provenance.number, event.envelope) for version, event in events]
    if rows:
        await connection.execute(
            "insert into provenance (version, number, envelope)"
            " select * from unnest($1::text[], $2::integer[], $3::bytea[])",
            *map(list, zip(*rows, strict=True)),
        )


def _time(one: Folded) -> datetime:
    return one.fact.recorded_at.ToDatetime(UTC)


def _moves_of(one: Folded) -> Iterator[tuple[str, int, str, str]]:
    """Alias, kind of move, from and to of each alias that a fact moves."""
    match one.event:
        case facts.AliasAssigned() as event:
            yield event.alias, ALIAS_MOVE_KIND_ASSIGNED, event.displaced_version, event.version
        case facts.AliasRemoved() as event:
            yield event.alias, ALIAS_MOVE_KIND_REMOVED, event.displaced_version, ""
        case declared.AliasRolledBack() as event:
            yield event.alias, ALIAS_MOVE_KIND_ROLLED_BACK, event.displaced_version, event.version
        case declared.AliasesSwapped() as event:
            yield event.alias, ALIAS_MOVE_KIND_SWAPPED, event.other_version, event.version
            yield event.other_alias, ALIAS_MOVE_KIND_SWAPPED, event.version, event.other_version
