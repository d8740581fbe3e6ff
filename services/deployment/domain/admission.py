"""May a version be rolled out in an environment now? Asked when a rollout is requested, and again before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from google.protobuf.duration_pb2 import Duration

from kernel.errors import Refusal
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.environments_pb2 import RolloutApprovals, RuleFinding
from modelog.deployment.v1.types_pb2 import Endpoint, Environment, KnownVersion, Strategy
from services.deployment.domain.freeze import check_freeze, used_lift
from services.deployment.domain.promotion import NOT_YET, Served, check_promotion
from services.deployment.domain.quota import NONE, Room, check_room, room_for
from services.deployment.domain.version import Deployers, Rule, deployable

EXPIRE_SECONDS = 24 * 3600
_ANY = Strategy()


@dataclass(frozen=True)
class Around:
    """What a decision knows besides the resources it reads. others: the room that all other endpoints take."""

    now: datetime
    others: Room = NONE
    served: Served = NOT_YET


def rules(
    endpoint: Endpoint,
    environment: Environment,
    version: KnownVersion,
    who: Deployers,
    around: Around,
    strategy: Strategy = _ANY,
) -> list[Rule]:
    """Every rule for a new rollout, in the order in which they are asked; each raises a Refusal or says nothing.

    An endpoint without a name stands for any: then its own room is not judged.
    """
    own = [
        Rule("freeze", partial(check_freeze, environment, endpoint.name, around.now)),
        Rule("promotion", partial(check_promotion, environment, version.name, around.served)),
    ]
    if endpoint.name:
        mine = room_for(endpoint, version.name, strategy, environment)
        own.append(Rule("quota", partial(check_room, environment, around.others, mine)))
    return [*deployable(version, environment, who), *own]


def findings(asked: Sequence[Rule]) -> list[RuleFinding]:
    """What each rule says."""
    found = []
    for rule in asked:
        finding = RuleFinding(rule=rule.name, passed=True)
        try:
            rule.check()
        except Refusal as refusal:
            finding = RuleFinding(rule=rule.name, reason=refusal.reason, explanation=refusal.message)
        found.append(finding)
    return found


def admit(
    event: facts.RolloutRequested, endpoint: Endpoint, environment: Environment, who: Deployers, around: Around
) -> facts.RolloutRequested:
    """Writes into a request what it has to wait for, and the lift that it made use of."""
    event.approvals_needed = environment.rollout_approvals.needed
    if event.approvals_needed:
        event.approvals_expire_after.CopyFrom(expire_after(environment.rollout_approvals))
        event.deploying_people.extend(sorted(who.people(who.actors)))
    if (lift := used_lift(environment, endpoint.name, around.now)) is not None:
        event.freeze_lift.CopyFrom(lift)
    return event


def expire_after(approvals: RolloutApprovals) -> Duration:
    """How long a rollout waits for its approvals."""
    return approvals.expire_after if approvals.HasField("expire_after") else Duration(seconds=EXPIRE_SECONDS)
