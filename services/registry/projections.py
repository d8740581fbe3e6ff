"""Tables that are not resources: what serves where, which versions have retired, and who takes part in what."""

from collections.abc import Sequence
from typing import Any

from kernel.folding import Folded
from modelog.registry.v1 import events_pb2 as facts
from services.registry.collaboration import projections as collaboration
from services.registry.domain import KNOWN_ENDPOINT
from services.registry.domain.endpoint import HEARD

PROJECTED = (*HEARD, *collaboration.PROJECTED)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Takes part in the transaction of each batch."""
    await _serving(connection, {one.state.name: one.state for one in folded if one.kind is KNOWN_ENDPOINT})
    gone = [one.state.name for one in folded if isinstance(one.event, facts.VersionRetired)]
    if gone:
        await connection.execute("insert into retired (version) select * from unnest($1::text[])", gone)
    await collaboration.project(connection, folded)


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
