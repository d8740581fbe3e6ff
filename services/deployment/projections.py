"""Tables that are not resources: the controller's work, what served where exact to the fact, repairs."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from kernel.folding import Folded
from kernel.names import project_of
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.people_pb2 import Repair
from modelog.deployment.v1.types_pb2 import TrafficShare
from services.deployment.domain import ROLLOUT

PROJECTED = (
    facts.EndpointCreated,
    facts.TrafficShifted,
    facts.EndpointRemoved,
    facts.EndpointRepaired,
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
                await _shift(connection, one)
            case facts.EndpointRepaired():
                await _repair(connection, one)
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
    """Ends the intervals whose share changed and begins the new ones; an unchanged share goes on.

    From creation to removal some interval is always open: where nobody serves it has no version and 0 percent.
    """
    endpoint, shares = one.state.name, {share.version: share for share in one.state.traffic}
    begun = {version: share for version, share in shares.items() if share.percent > 0}
    if not begun and not isinstance(one.event, facts.EndpointRemoved):
        begun = {"": TrafficShare()}
    moment = one.fact.recorded_at.ToDatetime(tzinfo=UTC)
    rows = await connection.fetch(
        "select version, percent from serving_interval where endpoint = $1 and to_revision is null", endpoint
    )
    going_on = {
        row["version"] for row in rows if row["version"] in begun and begun[row["version"]].percent == row["percent"]
    }
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
                version,
                one.revision,
                project_of(endpoint),
                one.state.environment,
                share.percent,
                moment,
                one.state.rollout,
                getattr(one.event, "requested_by", ""),
                list(share.approved_by),
            )
            for version, share in begun.items()
            if version not in going_on
        ],
    )
    await connection.execute("delete from serving where endpoint = $1", endpoint)
    await connection.executemany("insert into serving values ($1, $2)", [(endpoint, name) for name in shares])


async def _repair(connection: Any, one: Folded) -> None:
    """One row a finding; a fact of before, which told all of them in one text, makes one row."""
    event: Any = one.event
    moment = one.fact.recorded_at.ToDatetime(tzinfo=UTC)
    found = event.repairs or [Repair(finding=event.repair, find_time=one.fact.recorded_at)]
    await connection.executemany(
        "insert into repair values ($1, $2, $3, $4, $5, $6)",
        [
            (
                one.state.name,
                one.revision,
                number,
                project_of(one.state.name),
                moment,
                repair.SerializeToString(deterministic=True),
            )
            for number, repair in enumerate(found, 1)
        ],
    )
