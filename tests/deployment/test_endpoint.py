"""Endpoints: creating, shifting traffic, flags, removing."""

import pytest

from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.deployment.v1.people_pb2 import Repair
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import PHASE_RETIRED, PHASE_STAGING
from services.deployment.domain import ENDPOINT
from services.deployment.domain import endpoint as verbs
from services.deployment.domain.quota import Room
from testkit.scenario import life
from tests.deployment.build import (
    ENDPOINT_NAME,
    ENVIRONMENT_NAME,
    back,
    endpoint,
    environment,
    progressing,
    requested,
    rollout,
    rollout_name,
    share,
    shifted,
    succeeded,
    version,
    version_name,
)

GONE = facts.EndpointRemovalStarted()
NEW = {"description": "", "address": "http://h/risk/fraud-eu", "replicas": 0, "others": Room()}


def test_an_endpoint_lives_in_an_environment() -> None:
    fresh = life(ENDPOINT, ENDPOINT_NAME)
    expected = facts.EndpointCreated(environment=ENVIRONMENT_NAME, address="http://h/risk/fraud-eu", replicas=1)
    fresh.when(verbs.create, environment().state, **NEW).then(expected)
    fresh.when(verbs.create, types.Environment(), **NEW).then_refused("ENVIRONMENT_NOT_FOUND")
    removed = environment().given(facts.EnvironmentRemoved()).state
    fresh.when(verbs.create, removed, **NEW).then_refused("ENVIRONMENT_REMOVED")
    endpoint().when(verbs.create, environment().state, **NEW).then_refused("ENDPOINT_EXISTS")


def test_traffic_names_who_asked_and_who_approved() -> None:
    moving = progressing().state
    traffic = [share(2, 10), share(1, 90)]
    expected = facts.TrafficShifted(
        traffic=traffic,
        rollout=rollout_name(2),
        requested_by="users/dora",
        approved_by=["users/rita"],
        environment=ENVIRONMENT_NAME,
    )
    endpoint().when(verbs.shift, moving, version().state, traffic=traffic).then(expected)


def test_traffic_of_a_way_back_names_who_asked_for_that() -> None:
    going_back = progressing().given(back(), by="users/otto").state
    outcome = endpoint(shifted(share(2), rollout=2)).when(verbs.shift, going_back, version().state, traffic=[share(1)])
    assert isinstance(outcome.event, facts.TrafficShifted)
    assert outcome.event.requested_by == "users/otto"


def test_traffic_moves_only_to_ready_replicas_of_living_versions_for_an_unfinished_rollout() -> None:
    moving, known = progressing().state, version().state
    endpoint().when(verbs.shift, moving, known, traffic=[share(2, ready=0)]).then_refused("REPLICAS_NOT_READY")
    retired = version(2, registry.VersionRetired(to_stage="retired")).state
    endpoint().when(verbs.shift, moving, retired, traffic=[share(2)]).then_refused("VERSION_RETIRED")
    done = progressing().given(facts.RolloutPromoted(), succeeded()).state
    endpoint().when(verbs.shift, done, known, traffic=[share(2)]).then_refused("ROLLOUT_FINISHED")
    endpoint(GONE).when(verbs.shift, moving, known, traffic=[share(2)]).then_refused("ENDPOINT_REMOVED")
    with pytest.raises(ValueError, match="100"):
        endpoint().when(verbs.shift, moving, known, traffic=[share(2, 60)])


def test_the_same_split_of_the_same_rollout_is_nothing_new() -> None:
    known = endpoint(shifted(share(2), rollout=2))
    known.when(verbs.shift, progressing().state, version().state, traffic=[share(2)]).then_nothing()


def test_a_version_that_left_the_admitted_phases_is_flagged_where_it_serves() -> None:
    serving = endpoint(shifted(share(2)))
    moved = version(2, registry.StageChanged(to_stage="staging", to_phase=PHASE_STAGING))
    outcome = serving.when(verbs.flag, environment().state, moved.state)
    flagged = outcome.event
    assert isinstance(flagged, facts.EndpointFlagged)
    assert flagged.flag.version == version_name(2)
    assert "staging" in flagged.flag.cause
    serving.given(flagged)
    serving.when(verbs.flag, environment().state, moved.state).then_nothing()
    back_again = facts.EndpointUnflagged(version=version_name(2))
    serving.when(verbs.flag, environment().state, version().state).then(back_again)
    assert not serving.given(back_again).state.flags


def test_a_retired_version_is_flagged_even_where_its_phase_is_admitted_and_leaves_with_its_traffic() -> None:
    everything = environment(admitted_phases=[PHASE_RETIRED]).state
    serving = endpoint(shifted(share(2)))
    retired = version(2, registry.VersionRetired(to_stage="retired")).state
    flagged = serving.when(verbs.flag, everything, retired).event
    assert flagged is not None
    assert not serving.given(flagged, shifted(share(1))).state.flags
    serving.when(verbs.flag, everything, retired).then_nothing()


def test_removing_waits_for_rollouts_and_ends_when_all_is_gone() -> None:
    busy = rollout(requested()).state
    endpoint().when(verbs.start_removal, busy).then_refused("ROLLOUT_UNFINISHED")
    life(ENDPOINT, ENDPOINT_NAME).when(verbs.start_removal, types.Rollout()).then_refused("ENDPOINT_NOT_FOUND")
    endpoint().when(verbs.start_removal, types.Rollout()).then(GONE)
    endpoint(GONE).when(verbs.start_removal, types.Rollout()).then_nothing()
    endpoint().when(verbs.finish_removal).then_refused("ENDPOINT_NOT_REMOVING")
    leaving = endpoint(shifted(share(1)), GONE)
    removed = facts.EndpointRemoved(versions=[version_name(1)])
    leaving.when(verbs.finish_removal).then(removed)
    assert not leaving.given(removed).state.traffic
    leaving.when(verbs.finish_removal).then_nothing()


def test_the_address_follows_the_gateway() -> None:
    endpoint().when(verbs.move, address="http://new").then(facts.EndpointAddressed(address="http://new"))
    endpoint(facts.EndpointAddressed(address="http://new")).when(verbs.move, address="http://new").then_nothing()


def test_a_repair_is_remembered() -> None:
    event = endpoint().when(verbs.repair, found=[Repair(object="fraud-1", finding="replica was gone")]).event
    assert event is not None
    assert endpoint(event).state.last_repair == "replica was gone"
