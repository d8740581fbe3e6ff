"""What follows from facts: alerts from windows, retrainings from alerts, and answers from the registry."""

from functools import partial

from kernel.names import child, project_of
from kernel.reactor import Reaction, Reactions
from kernel.rooms import Rooms
from kernel.transact import Decide
from modelog.deployment.v1 import events_pb2 as deployment
from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from services.monitoring import queries
from services.monitoring.domain import ALERT, KNOWN_ENDPOINT, MONITOR, RETRAINING, alert, monitor, retraining


def reactions(rooms: Rooms) -> Reactions:
    return {
        facts.WindowEvaluated: partial(_evaluated, rooms),
        facts.VersionReplaced: partial(_ended, rooms, types.RESOLUTION_VERSION_REPLACED),
        facts.MonitorChanged: partial(_ended, rooms, types.RESOLUTION_CHECK_REMOVED),
        facts.AlertRaised: partial(_raised, rooms),
        registry.VersionRegistered: partial(_registered, rooms),
        deployment.TrafficShifted: partial(_shifted, rooms),
        deployment.EndpointRemoved: partial(_shifted, rooms),
    }


async def _evaluated(rooms: Rooms, reaction: Reaction) -> None:
    """Alerts that the window opened are raised or opened again, those that it ended are resolved."""
    name, event = reaction.fact.resource, reaction.event
    for episode in event.opened:
        raise_ = alert.reopen if episode.again else partial(alert.raise_, monitor=name)
        verb = partial(raise_, evaluated=event, episode=episode)
        await _on_alert(rooms, reaction, episode, "raise_alert", verb)
    for episode in event.joined:
        verb = partial(alert.join, evaluated=event, episode=episode)
        await _on_alert(rooms, reaction, episode, "join_alert", verb)
    for episode in event.closed:
        verb = partial(alert.resolve, resolution=types.RESOLUTION_RECOVERED, window=event.window.number)
        await _on_alert(rooms, reaction, episode, "resolve_alert", verb)


async def _ended(rooms: Rooms, resolution: types.Resolution, reaction: Reaction) -> None:
    """Alerts whose version no longer answers, or whose check is gone, are over."""
    for episode in reaction.event.closed:
        await _on_alert(rooms, reaction, episode, "end_alert", partial(alert.resolve, resolution=resolution))


async def _on_alert(rooms: Rooms, reaction: Reaction, episode: facts.Episode, what: str, verb: Decide) -> None:
    name = child(reaction.fact.resource, "alerts", episode.alert)
    silences = await queries.silences(rooms.pool, project_of(name), reaction.now)
    verb = partial(verb, silences=silences, now=reaction.now)
    await rooms.transact(ALERT, name, reaction.cause(f"{what}/{episode.alert}"), verb)


async def _raised(rooms: Rooms, reaction: Reaction) -> None:
    """An alert with the action RETRAIN requests a retraining, unless one is open for its monitor."""
    event = reaction.event
    if types.ACTION_RETRAIN not in event.actions:
        return
    if await queries.open_retraining(rooms.pool, event.monitor):
        return
    raised = await rooms.resources.load(ALERT, reaction.fact.resource)
    decided = await rooms.transact.create_numbered(
        RETRAINING,
        event.monitor,
        reaction.cause("retrain", reason=f"check {event.check} of {event.version} failed"),
        partial(retraining.request_for_alert, alert=raised, now=reaction.now),
        reads=((MONITOR, event.monitor),),
    )
    await rooms.resources.wait(decided.revision)


async def _registered(rooms: Rooms, reaction: Reaction) -> None:
    """A version registered as the answer to a retraining closes it."""
    if reaction.event.answers:
        verb = partial(retraining.answer, version=reaction.fact.resource)
        await rooms.transact(RETRAINING, reaction.event.answers, reaction.cause("answer"), verb)


async def _shifted(rooms: Rooms, reaction: Reaction) -> None:
    """Where the checks of a version stand is forgotten once the version no longer answers."""
    endpoint = reaction.fact.resource
    for one in await queries.monitors_of_endpoints(rooms.pool, [endpoint]):
        for version in monitor.standing_versions(one):
            cause = reaction.cause(f"replace/{one.name}/{version}")
            verb = partial(monitor.version_replaced, version=version)
            await rooms.transact(MONITOR, one.name, cause, verb, reads=((KNOWN_ENDPOINT, endpoint),))
