"""Facts of others that lead to facts here."""

from functools import partial

from kernel.reactor import Reaction, Reactions
from kernel.rooms import Rooms
from modelog.deployment.v1 import events_pb2 as facts
from modelog.monitoring.v1 import alert_events_pb2 as monitoring_alerts
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.registry.v1 import events_pb2 as registry
from services.deployment import queries
from services.deployment.domain import ENDPOINT, ENVIRONMENT, KNOWN_VERSION, ROLLOUT, endpoint, rollout
from services.deployment.rollouts import Rollouts


def reactions(rooms: Rooms) -> Reactions:
    """An alert may roll back; a version is flagged where it serves and its environment does not admit it any more."""
    rollouts = Rollouts(rooms)

    async def alerted(reaction: Reaction) -> None:
        alert = reaction.event
        if not alert.endpoint or alert.held:
            return
        newest = await rollouts.newest(alert.endpoint)
        if not newest.name:
            return
        told = {"version": alert.version, "check": alert.check, "severity": alert.severity}
        verb = partial(rollout.alert, name=reaction.fact.resource, **told)
        await rooms.transact(ROLLOUT, newest.name, reaction.cause("alert-rolls-back"), verb)

    async def moved(reaction: Reaction) -> None:
        version = reaction.fact.resource
        for name in await queries.endpoints_serving(rooms.pool, version):
            state = await rooms.resources.load(ENDPOINT, name)
            reads = ((ENVIRONMENT, state.environment), (KNOWN_VERSION, version))
            await rooms.transact(ENDPOINT, name, reaction.cause(f"flag/{name}"), endpoint.flag, reads=reads)

    async def redefined(reaction: Reaction) -> None:
        place = reaction.fact.resource
        for one in await queries.work_in(rooms.pool, place):
            state = await rooms.resources.load(ENDPOINT, one.endpoint)
            for version in {share.version for share in state.traffic}:
                reads = ((ENVIRONMENT, place), (KNOWN_VERSION, version))
                cause = reaction.cause(f"flag/{one.endpoint}/{version}")
                await rooms.transact(ENDPOINT, one.endpoint, cause, endpoint.flag, reads=reads)

    return {
        facts.EnvironmentChanged: redefined,
        monitoring.AlertRaised: alerted,
        monitoring_alerts.AlertReopened: alerted,
        registry.StageChanged: moved,
        registry.VersionRetired: moved,
    }
