"""Tables that are not resources: the controller's work, and what served where, exact to the fact that moved traffic."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from kernel.folding import Folded
from kernel.names import project_of
from modelog.deployment.v1 import events_pb2 as facts
from services.deployment.domain import ROLLOUT

PROJECTED = (
    facts.EndpointCreated,
    facts.TrafficShifted,
    facts.EndpointRemoved,
    facts.RolloutRequested,
    facts.RolloutSucceeded,
)


async def project(connection: Any, folded: Sequence[Folded]) -> None:
    """Takes part in the transaction of each batch."""
    for one in folded:
        match one.event:
            case facts.EndpointCreated():
                await connection.execute(
                    "insert into endpoint_work (endpoint, environment) values ($1, $2)",
                    one.state.name,
                    one.state.environment,
                )
            case facts.TrafficShifted() | facts.EndpointRemoved():
                await _shift(connection, one)
            case facts.RolloutRequested():
                await connection.execute(
                    "update endpoint_work set rollout = $2 where endpoint = $1",
                    ROLLOUT.pattern.parent(one.state.name),
                    int(one.state.name.rpartition("/")[2]),
                )
                if one.event.restores:  # What is undone has proved nothing.
                    await connection.execute("delete from proved where rollout = $1", one.event.restores)
            case facts.RolloutSucceeded():
                await connection.execute(
                    "insert into proved values ($1, $2, $3)", one.state.environment, one.state.version, one.state.name
                )
        if isinstance(one.event, facts.EndpointRemoved):
            await connection.execute("update endpoint_work set removed = true where endpoint = $1", one.state.name)


async def _shift(connection: Any, one: Folded) -> None:
    """Ends the intervals whose share changed and begins the new ones; an unchanged share goes on."""
    endpoint, shares = one.state.name, {share.version: share for share in one.state.traffic}
    moment = one.fact.recorded_at.ToDatetime(tzinfo=UTC)
    rows = await connection.fetch(
        "select version, percent from serving_interval where endpoint = $1 and to_revision is null", endpoint
    )
    going_on = {row["version"] for row in rows if _percent(shares, row["version"]) == row["percent"]}
    await connection.execute(
        "update serving_interval set to_time = $2, to_revision = $3"
        " where endpoint = $1 and to_revision is null and not version = any($4::text[])",
        endpoint,
        moment,
        one.revision,
        list(going_on),
    )
    await connection.executemany(
        "insert into serving_interval values ($1, $2, $3, $4, $5, $6, $7, null, null, $8, $9, $10)",
        [
            (
                endpoint,
                share.version,
                one.revision,
                project_of(endpoint),
                one.state.environment,
                share.percent,
                moment,
                one.state.rollout,
                one.event.requested_by,  # type: ignore[union-attr]
                list(share.approved_by),
            )
            for share in shares.values()
            if share.version not in going_on and share.percent > 0
        ],
    )
    await connection.execute("delete from serving where endpoint = $1", endpoint)
    await connection.executemany("insert into serving values ($1, $2)", [(endpoint, name) for name in shares])


def _percent(shares: dict[str, Any], version: str) -> int:
    return shares[version].percent if version in shares else 0
