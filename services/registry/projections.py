"""Tables that are not resources: what serves where, what is held, which versions retired, and what they derive from."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from kernel.folding import Folded
from kernel.names import sort_key
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from services.registry.domain import KNOWN_ENDPOINT, KNOWN_HOLD, endpoint, hold

PROJECTED = (*endpoint.HEARD, *hold.HEARD, facts.VersionRegistered, facts.VersionRetired, VersionRestored)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Takes part in the transaction of each batch."""
    await _serving(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_ENDPOINT})
    await _held(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_HOLD})
    await _retired(connection, folded)
    await _derived(connection, [one for one in folded if isinstance(one.event, facts.VersionRegistered)])


async def _retired(connection: Any, folded: Sequence[Folded]) -> None:
    """As the last of its facts in the batch leaves each version."""
    last = {
        one.fact.resource: one.event for one in folded if isinstance(one.event, facts.VersionRetired | VersionRestored)
    }
    if last:
        gone = [name for name, event in last.items() if isinstance(event, facts.VersionRetired)]
        await connection.execute("delete from retired where version = any($1::text[])", list(last))
        await connection.execute("insert into retired (version) select * from unnest($1::text[])", gone)


async def _derived(connection: Any, registered: Sequence[Folded]) -> None:
    rows = [
        (one.fact.resource, sort_key(one.fact.resource), one.event.parent_version, one.revision, one.fact.recorded_at)
        for one in registered
        if isinstance(one.event, facts.VersionRegistered) and one.event.parent_version
    ]
    if rows:
        sql = "insert into derived (version, sort, parent, revision, recorded_at) values ($1, $2, $3, $4, $5)"
        await connection.executemany(sql, [(*row[:4], row[4].ToDatetime(UTC)) for row in rows])


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
