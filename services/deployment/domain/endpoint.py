"""Endpoints: a stable address, and which versions answer there with which share."""

from collections.abc import Sequence

from google.protobuf.message import Message

from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import traffic_events_pb2 as traffic_facts
from modelog.deployment.v1.people_pb2 import Repair
from modelog.deployment.v1.traffic_pb2 import TrafficPolicy
from modelog.deployment.v1.types_pb2 import (
    ENDPOINT_STATE_ACTIVE,
    ENDPOINT_STATE_REMOVED,
    ENDPOINT_STATE_REMOVING,
    Endpoint,
    Environment,
    Flag,
    KnownVersion,
    Rollout,
    TrafficShare,
)
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import Phase
from services.deployment.domain.policy import check_policy, merged
from services.deployment.domain.quota import Room, check_room, first_room
from services.deployment.domain.states import GOING_BACK, is_unfinished

_ALL = 100


def present(endpoint: Endpoint) -> None:
    """Refuses an endpoint that does not exist, or is not there any more."""
    if not endpoint.name:
        raise NotFound("ENDPOINT_NOT_FOUND", "there is no such endpoint; create it first")
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        raise NotAllowedNow("ENDPOINT_REMOVED", f"{endpoint.name} is removed; names are not used again")


def create(
    endpoint: Endpoint,
    environment: Environment,
    *,
    description: str,
    address: str,
    replicas: int,
    others: Room,
    policy: TrafficPolicy | None = None,
) -> facts.EndpointCreated:
    if not environment.name:
        raise NotFound("ENVIRONMENT_NOT_FOUND", "there is no such environment; define it first")
    if environment.removed:
        raise NotAllowedNow("ENVIRONMENT_REMOVED", f"{environment.name} was removed; use another environment")
    if endpoint.name:
        raise AlreadyExists("ENDPOINT_EXISTS", f"{endpoint.name} exists already, or existed: names are not used again")
    check_room(environment, others, first_room(replicas, environment))
    if policy is not None:
        check_policy(policy, environment)
    return facts.EndpointCreated(
        environment=environment.name,
        description=description,
        address=address,
        replicas=replicas or 1,
        traffic_policy=policy,
    )


def change_policy(
    endpoint: Endpoint, environment: Environment, *, given: TrafficPolicy, fields: Sequence[str]
) -> traffic_facts.EndpointPolicyChanged | None:
    """These fields of the traffic policy become what they are in `given`."""
    present(endpoint)
    changed = merged(endpoint.traffic_policy, given, fields)
    check_policy(changed, environment)
    if changed == endpoint.traffic_policy:
        return None
    return traffic_facts.EndpointPolicyChanged(traffic_policy=changed)


def move(endpoint: Endpoint, *, address: str) -> facts.EndpointAddressed | None:
    """The gateway is elsewhere now."""
    present(endpoint)
    return None if endpoint.address == address else facts.EndpointAddressed(address=address)


def shift(
    endpoint: Endpoint, rollout: Rollout, version: KnownVersion, *, traffic: Sequence[TrafficShare]
) -> facts.TrafficShifted | None:
    """A new split for a rollout, whose version `version` is. Shares add up to 100, or there are none."""
    present(endpoint)
    if not is_unfinished(rollout.state):
        raise NotAllowedNow("ROLLOUT_FINISHED", f"{rollout.name} is finished and moves no traffic")
    if traffic and sum(share.percent for share in traffic) != _ALL:
        raise ValueError("shares add up to 100")
    unready = [share.version for share in traffic if share.ready_replicas < 1]
    if unready:
        raise NotAllowedNow("REPLICAS_NOT_READY", f"no replica answers ready yet: {', '.join(unready)}")
    backwards = rollout.state in GOING_BACK
    if version.retired and not backwards and rollout.version in {share.version for share in traffic}:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} has been retired and is never served again")
    if _split(endpoint.traffic) == _split(traffic) and endpoint.rollout == rollout.name:
        return None
    return facts.TrafficShifted(
        traffic=traffic,
        rollout=rollout.name,
        requested_by=rollout.rollback_requested_by if backwards else rollout.requested_by,
        approved_by=rollout.approved_by,
        environment=endpoint.environment,
    )


def start_removal(endpoint: Endpoint, newest: Rollout) -> facts.EndpointRemovalStarted | None:
    """`newest`: the endpoint's newest rollout, empty when it has none."""
    if not endpoint.name:
        raise NotFound("ENDPOINT_NOT_FOUND", "there is no such endpoint")
    if endpoint.state != ENDPOINT_STATE_ACTIVE:
        return None
    if is_unfinished(newest.state):
        raise NotAllowedNow("ROLLOUT_UNFINISHED", f"{newest.name} is under way; roll it back or let it finish first")
    return facts.EndpointRemovalStarted()


def finish_removal(endpoint: Endpoint) -> facts.EndpointRemoved | None:
    """Its route is down and its replicas are gone."""
    if endpoint.state == ENDPOINT_STATE_REMOVED:
        return None
    if endpoint.state != ENDPOINT_STATE_REMOVING:
        raise NotAllowedNow("ENDPOINT_NOT_REMOVING", f"nobody asked to remove {endpoint.name}")
    return facts.EndpointRemoved(versions=[share.version for share in endpoint.traffic])


def flag(endpoint: Endpoint, environment: Environment, version: KnownVersion) -> Message | None:
    """Marks, or no longer marks, a version that serves although the terms do not admit it any more."""
    if endpoint.state == ENDPOINT_STATE_REMOVED or version.name not in {one.version for one in endpoint.traffic}:
        return None
    flagged = {one.version for one in endpoint.flags}
    cause = _not_admitted(environment, version)
    if not cause:
        return facts.EndpointUnflagged(version=version.name) if version.name in flagged else None
    if version.name in flagged:
        return None
    cause = f"{cause}; roll out another version, or remove the endpoint"
    return facts.EndpointFlagged(flag=Flag(version=version.name, phase=version.phase, cause=cause))


def _not_admitted(environment: Environment, version: KnownVersion) -> str:
    """Why a version should not serve here; empty when it may."""
    if version.retired or version.phase not in environment.admitted_phases:
        phase = Phase.Name(version.phase)
        return f"{version.name} is in {version.stage} ({phase}), which {environment.name} does not admit"
    if len(version.approvers) < environment.approvals_needed:
        have, needed = len(version.approvers), environment.approvals_needed
        return f"{version.name} has {have} of the {needed} approvals that {environment.name} needs"
    return ""


def flag_stuck(endpoint: Endpoint, rollout: Rollout, version: KnownVersion) -> facts.EndpointFlagged | None:
    """Says at the endpoint that a rollback from `version` does not work. The flag goes with the version's traffic."""
    present(endpoint)
    if rollout.state not in GOING_BACK or version.name in {one.version for one in endpoint.flags}:
        return None
    attempts = f"{rollout.rollback_attempts} attempts" if rollout.rollback_attempts > 1 else "an attempt"
    cause = (
        f"going back from {version.name} has failed after {attempts} and is tried until it works; "
        f"see {rollout.name} and put right what stands in its way"
    )
    return facts.EndpointFlagged(flag=Flag(version=version.name, phase=version.phase, cause=cause))


def repair(endpoint: Endpoint, *, found: Sequence[Repair]) -> facts.EndpointRepaired:
    """The platform differed from the facts and was put right."""
    present(endpoint)
    return facts.EndpointRepaired(repair="; ".join(one.finding for one in found), repairs=found)


def _split(traffic: Sequence[TrafficShare]) -> dict[str, int]:
    return {share.version: share.percent for share in traffic}


def evolve_endpoint(endpoint: Endpoint, event: Message, envelope: Fact) -> None:
    match event:
        case facts.EndpointCreated():
            _fold_creation(endpoint, event)
        case traffic_facts.EndpointPolicyChanged():
            endpoint.traffic_policy.CopyFrom(event.traffic_policy)
        case facts.EndpointAddressed():
            endpoint.address = event.address
        case facts.TrafficShifted():
            _fold_traffic(endpoint, event, envelope)
        case facts.EndpointFlagged():
            endpoint.flags.append(event.flag)
        case facts.EndpointUnflagged():
            _keep_flags(endpoint, {one.version for one in endpoint.flags} - {event.version})
        case facts.EndpointRepaired():
            endpoint.last_repair = event.repair
        case facts.EndpointRemovalStarted():
            endpoint.state = ENDPOINT_STATE_REMOVING
        case facts.EndpointRemoved():
            endpoint.state = ENDPOINT_STATE_REMOVED
            del endpoint.traffic[:]
            del endpoint.flags[:]
        case _:
            raise UnknownFact(event)


def _fold_creation(endpoint: Endpoint, event: facts.EndpointCreated) -> None:
    endpoint.environment, endpoint.description = event.environment, event.description
    endpoint.address, endpoint.replicas = event.address, event.replicas
    endpoint.state = ENDPOINT_STATE_ACTIVE
    if event.HasField("traffic_policy"):
        endpoint.traffic_policy.CopyFrom(event.traffic_policy)


def _fold_traffic(endpoint: Endpoint, event: facts.TrafficShifted, envelope: Fact) -> None:
    del endpoint.traffic[:]
    endpoint.traffic.extend(event.traffic)
    endpoint.rollout = event.rollout
    endpoint.shift_time.CopyFrom(envelope.recorded_at)
    _keep_flags(endpoint, {share.version for share in event.traffic})


def _keep_flags(endpoint: Endpoint, versions: set[str]) -> None:
    kept = [one for one in endpoint.flags if one.version in versions]
    del endpoint.flags[:]
    endpoint.flags.extend(kept)
