"""Tables that are not resources: what serves where, which versions have retired, what was derived from what."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kernel.folding import Folded
from kernel.names import sort_key
from modelog.registry.v1 import artifacts_events_pb2 as evidence
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.artifacts_pb2 import DERIVATION_CHILD, DERIVATION_COPY
from services.registry.domain import KNOWN_ENDPOINT
from services.registry.domain.endpoint import HEARD

PROJECTED = (*HEARD, facts.VersionRetired, facts.VersionRegistered, evidence.ProvenanceRecorded)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Takes part in the transaction of each batch."""
    await _serving(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_ENDPOINT})
    gone = [one.state.name for one in folded if isinstance(one.event, facts.VersionRetired)]
    await _derived(connection, [one for one in folded if isinstance(one.event, facts.VersionRegistered)])
    await _provenance(connection, [one for one in folded if isinstance(one.event, evidence.ProvenanceRecorded)])
    if gone:
        await connection.execute("insert into retired (version) select * from unnest($1::text[])", gone)


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


async def _derived(connection: Any, registered: Sequence[Folded]) -> None:
    """One row for the parent of a version, one for what it is a copy of."""
    rows = [
        (origin, one.state.name, sort_key(one.state.name), derivation, one.revision, _time(one))
        for one in registered
        for origin, derivation in (
            (one.state.parent_version, DERIVATION_CHILD),
            (one.state.origin.version, DERIVATION_COPY),
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
