"""What the queue of retrainings and the watch over alerts show, folded from facts."""

from datetime import UTC
from typing import Any

from kernel.folding import Folded
from kernel.names import project_of
from modelog.monitoring.v1 import alert_events_pb2 as alerts
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import retraining_events_pb2 as later
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.queue import queries


async def queue(connection: Any, one: Folded) -> None:
    name = one.fact.resource
    match one.event:
        case facts.RetrainingRequested():
            await _enqueue(connection, one, one.event)
        case facts.RetrainingAnswered() | facts.RetrainingAbandoned():
            await queries.end(connection, name)
        case later.RetrainingClaimed():
            lease_ends_at = one.event.expire_time.ToDatetime(tzinfo=UTC)
            await queries.move(connection, name, claim_request=one.fact.request_id, lease_ends_at=lease_ends_at)
        case facts.RetrainingStarted():
            await queries.move(connection, name)
        case later.RetrainingReleased():
            await queries.move(connection, name, waits=True)
        case later.RetrainingDeadlineMissed():
            await queries.forget_deadline(connection, name)
        case _:
            await _watch(connection, one)


async def _watch(connection: Any, one: Folded) -> None:
    """Alerts that may end in a proposal to retire."""
    name = one.fact.resource
    match one.event:
        case facts.AlertRaised() if types.ACTION_PROPOSE_RETIREMENT in one.event.actions:
            await queries.watch(connection, name)
        case alerts.AlertReopened():  # It does not repeat what follows from it; whether it is due is looked at anyway.
            await queries.watch(connection, name)
        case facts.AlertResolved():
            await queries.unwatch(connection, name)
        case later.RetirementProposed():
            await queries.unwatch(connection, one.event.alert)


async def _enqueue(connection: Any, one: Folded, fact: facts.RetrainingRequested) -> None:
    name = one.fact.resource
    await queries.begin(
        connection,
        name,
        monitor=name.rpartition("/retrainings/")[0],
        project=project_of(name),
        model=fact.version.rpartition("/versions/")[0],
        severity=fact.severity,
        revision=one.revision,
        due_at=fact.deadline_time.ToDatetime(tzinfo=UTC) if fact.HasField("deadline_time") else None,
    )
