"""Rollouts as people ask for them: request, pause, resume, roll back."""

from collections.abc import Sequence

from google.protobuf.message import Message

from kernel.errors import Conflict, NotAllowedNow, NotFound
from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import (
    TRIGGER_ALERT,
    TRIGGER_REQUESTED,
    BlueGreen,
    Endpoint,
    Environment,
    KnownVersion,
    Rollout,
    Strategy,
    TrafficShare,
)
from modelog.monitoring.v1.types_pb2 import SEVERITY_WARNING
from services.deployment.domain import endpoint as endpoints
from services.deployment.domain.admission import Around, admit, rules
from services.deployment.domain.states import (
    GOING_IN,
    PAUSED,
    PROGRESSING,
    PROMOTING,
    SUCCEEDED,
    is_unfinished,
    words,
)
from services.deployment.domain.strategy import analysis_of, check_fits, check_strategy, only_shadows
from services.deployment.domain.version import Deployers, check_deployable

_ALL = 100


class NumberTaken(Conflict):
    """Somebody else's rollout got this number: look at it, and decide again on the next."""


def request(
    rollout: Rollout,
    endpoint: Endpoint,
    environment: Environment,
    version: KnownVersion,
    project: KnownProject,
    everywhere: KnownProject,
    before: Rollout,
    *,
    strategy: Strategy,
    by: Sequence[str],
    around: Around,
) -> facts.RolloutRequested:
    """A new rollout. `before`: the one numbered just below it, empty for the first. `by`: who asks, then for whom.

    One unfinished rollout an endpoint, in spite of races: a number is taken once (the append is guarded), it is taken
    only after the rollout before it has finished, and what has finished stays so.
    """
    check_strategy(strategy)
    _check_free(rollout, endpoint, before)
    check_fits(strategy, endpoint, environment)
    who = Deployers(by, (project, everywhere))
    for rule in rules(endpoint, environment, version, who, around, strategy):
        rule.check()
    if [(share.version, share.percent) for share in endpoint.traffic] == [(version.name, _ALL)]:
        raise NotAllowedNow("ALREADY_SERVING", f"{version.name} serves all of {endpoint.name} already")
    return admit(_requested(endpoint, version, strategy), endpoint, environment, who, around)


def undo(
    rollout: Rollout,
    endpoint: Endpoint,
    environment: Environment,
    version: KnownVersion,
    project: KnownProject,
    everywhere: KnownProject,
    before: Rollout,
    *,
    by: Sequence[str],
) -> facts.RolloutRequested:
    """A new rollout that brings back what served before `before`, the newest one, which has succeeded.

    `version` is before.previous_version. Its replicas start beside the present ones, then all traffic moves at once.
    """
    check_undoable(before)
    _check_free(rollout, endpoint, before)
    check_deployable(version, environment, Deployers(by, (project, everywhere)), restoring=True)
    strategy = Strategy(blue_green=BlueGreen())
    if before.strategy.HasField("ready_deadline"):
        strategy.ready_deadline.CopyFrom(before.strategy.ready_deadline)
    event = _requested(endpoint, version, strategy)
    event.restores = before.name
    return event


def check_undoable(before: Rollout) -> None:
    """Refuses when nothing served before `before`, or when it is itself the way back."""
    if before.state != SUCCEEDED:
        raise NotAllowedNow("NOTHING_TO_ROLL_BACK", "no rollout of this endpoint has succeeded last")
    if only_shadows(before.strategy):
        raise NotAllowedNow(
            "NOTHING_TO_ROLL_BACK", f"{before.name} only mirrored requests; request a rollout of the version you want"
        )
    if before.restores:
        raise NotAllowedNow(
            "NOTHING_TO_ROLL_BACK",
            f"{before.name} went back already, undoing {before.restores}; request a rollout of the version you want",
        )
    if not before.previous_version:
        raise NotAllowedNow("NOTHING_TO_ROLL_BACK", f"nothing served before {before.name}; remove the endpoint instead")


def _check_free(rollout: Rollout, endpoint: Endpoint, before: Rollout) -> None:
    if rollout.name:
        raise NumberTaken("NUMBER_TAKEN", f"{rollout.name} exists already; try again")
    endpoints.present(endpoint)
    if is_unfinished(before.state):
        raise NotAllowedNow(
            "ROLLOUT_UNFINISHED",
            f"{before.name} is {words(before.state)}; let it finish or roll it back first",
            metadata={"rollout": before.name},
        )


def _requested(endpoint: Endpoint, version: KnownVersion, strategy: Strategy) -> facts.RolloutRequested:
    previous = [share for share in endpoint.traffic if share.version != version.name]
    greatest = max(previous, key=lambda share: share.percent, default=TrafficShare())
    return facts.RolloutRequested(
        version=version.name,
        strategy=strategy,
        environment=endpoint.environment,
        previous_version=greatest.version,
        previous_traffic=endpoint.traffic,
        artifact_sha256=version.artifact.sha256,
        replicas=endpoint.replicas,
        approved_by=version.approvers,
        phase=version.phase,
    )


def present(rollout: Rollout) -> None:
    if not rollout.name:
        raise NotFound("ROLLOUT_NOT_FOUND", "there is no such rollout")


def pause(rollout: Rollout, *, cause: str) -> facts.RolloutPaused | None:
    present(rollout)
    if rollout.state == PAUSED:
        return None
    if rollout.state != PROGRESSING:
        raise NotAllowedNow("ROLLOUT_NOT_PROGRESSING", f"{rollout.name} is {words(rollout.state)} and cannot be paused")
    return facts.RolloutPaused(cause=cause)


def resume(rollout: Rollout) -> facts.RolloutResumed | None:
    present(rollout)
    if rollout.state == PROGRESSING:
        return None
    if rollout.state != PAUSED:
        raise NotAllowedNow("ROLLOUT_NOT_PAUSED", f"{rollout.name} is {words(rollout.state)}, not paused")
    return facts.RolloutResumed()


def roll_back(rollout: Rollout, *, cause: str) -> facts.RollbackStarted | None:
    """A person wants what was there before. Already on the way back, or back: nothing new."""
    present(rollout)
    if rollout.state == SUCCEEDED:
        raise NotAllowedNow("ROLLOUT_SUCCEEDED", f"{rollout.name} has finished; undoing it takes a new rollout")
    if rollout.state not in GOING_IN or rollout.restores:
        return None
    return facts.RollbackStarted(cause=cause or "somebody asked for it", trigger=TRIGGER_REQUESTED)


def alert(rollout: Rollout, *, version: str, name: str, check: str, severity: int = SEVERITY_WARNING) -> Message | None:
    """Monitoring raised an alert; rolls back when the rollout's analysis says so and the alert is about its version."""
    analysis = analysis_of(rollout.strategy, rollout.steps_passed + 1)
    if rollout.state not in (PROGRESSING, PAUSED, PROMOTING) or analysis is None or not analysis.rollback_on_alert:
        return None
    if version not in ("", rollout.version) or severity < analysis.minimum_alert_severity:
        return None
    return facts.RollbackStarted(cause=f"alert {name} on {check}", trigger=TRIGGER_ALERT, alert=name)
