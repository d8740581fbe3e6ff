"""Whether a rollout that was asked for may start now: what was true when it was asked for may have changed since."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, Refusal
from modelog.deployment.v1 import environment_events_pb2 as facts
from modelog.deployment.v1.types_pb2 import TRIGGER_RETIRED, Endpoint, Environment, KnownVersion, Rollout
from services.deployment.domain import progress
from services.deployment.domain.approval import expire, has_expired, missing_approvals
from services.deployment.domain.conduct import Move
from services.deployment.domain.freeze import check_freeze
from services.deployment.domain.quota import NONE, Room, check_room, room_of
from services.deployment.domain.rollout import present
from services.deployment.domain.states import PENDING, words
from services.deployment.domain.version import check_admitted


@dataclass(frozen=True)
class Place:
    """Where a rollout is to start, besides its environment. others: the room that all other endpoints take there."""

    endpoint: Endpoint
    now: datetime
    others: Room = NONE


def start_move(rollout: Rollout, environment: Environment, version: KnownVersion, place: Place) -> Move | None:
    """What a PENDING rollout needs now; None: wait and look again. Its verb reads environment and version.

    Going back waits for nothing.
    """
    if version.retired:
        return Move("give-up", partial(_give_up, endpoint=place.endpoint))
    if rollout.restores:
        return Move("start", partial(start, place=place))
    if missing_approvals(rollout):
        return Move("expire", partial(_expire, now=place.now)) if has_expired(rollout, place.now) else None
    cause = _held_by(rollout, environment, version, place)
    if not cause:
        return Move("start", partial(start, place=place))
    return None if cause == rollout.cause else Move("hold", partial(hold, place=place))


def start(rollout: Rollout, environment: Environment, version: KnownVersion, *, place: Place) -> Message:
    """Takes it up."""
    _expect_pending(rollout)
    if missing_approvals(rollout):
        raise NotAllowedNow("APPROVALS_MISSING", f"{rollout.name} waits for approvals")
    _check(rollout, environment, version, place)
    return progress.start(rollout)


def hold(
    rollout: Rollout, environment: Environment, version: KnownVersion, *, place: Place
) -> facts.RolloutHeld | None:
    """Says what it waits for."""
    _expect_pending(rollout)
    cause = _held_by(rollout, environment, version, place)
    return None if cause == rollout.cause else facts.RolloutHeld(cause=cause)


def _held_by(rollout: Rollout, environment: Environment, version: KnownVersion, place: Place) -> str:
    """What of the environment does not let it start; empty when nothing does."""
    try:
        _check(rollout, environment, version, place)
    except Refusal as refusal:
        return refusal.message
    return ""


def _check(rollout: Rollout, environment: Environment, version: KnownVersion, place: Place) -> None:
    if rollout.restores:
        return
    check_admitted(version, environment)
    check_freeze(environment, place.endpoint.name, place.now)
    check_room(environment, place.others, room_of(place.endpoint, rollout, environment))


def _give_up(
    rollout: Rollout, _environment: Environment, _version: KnownVersion, *, endpoint: Endpoint
) -> Message | None:
    cause = f"{rollout.version} was retired"
    return progress.give_up(rollout, endpoint, cause=cause, trigger=TRIGGER_RETIRED)


def _expire(rollout: Rollout, _environment: Environment, _version: KnownVersion, *, now: datetime) -> Message | None:
    return expire(rollout, now=now)


def _expect_pending(rollout: Rollout) -> None:
    present(rollout)
    if rollout.state != PENDING:
        raise NotAllowedNow("ROLLOUT_MOVED_ON", f"{rollout.name} is {words(rollout.state)} by now")
