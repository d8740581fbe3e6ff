"""What an environment asks of rollouts: room, order, approvals; when one is requested and again before it starts."""

from datetime import datetime, timedelta
from functools import partial

import pytest
from google.protobuf.duration_pb2 import Duration

from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1 import environment_events_pb2 as waiting
from modelog.deployment.v1 import environments_pb2 as terms
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1 import types_pb2 as types
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION, PHASE_STAGING
from services.deployment.domain import progress
from services.deployment.domain import rollout as verbs
from services.deployment.domain.admission import Around, findings, rules
from services.deployment.domain.conduct import Move
from services.deployment.domain.endpoint import create, flag
from services.deployment.domain.environment import define
from services.deployment.domain.promotion import Served
from services.deployment.domain.quota import Room, room_for, room_of
from services.deployment.domain.starting import Place, hold, start, start_move
from services.deployment.domain.states import PENDING, PROGRESSING
from services.deployment.domain.version import Deployers
from testkit.scenario import START, Life, Outcome, life
from tests.deployment.build import (
    ENVIRONMENT_NAME,
    PROJECT,
    RECREATE,
    canary,
    endpoint,
    environment,
    requested,
    rollout,
    share,
    shifted,
    started,
    version,
    version_name,
)
from tests.deployment.test_approvals import approved, pending
from tests.deployment.test_freeze import WEEKEND, at

NOBODY = KnownProject()
BOT = f"serviceaccounts/{PROJECT}/bot"
MONDAY, SATURDAY = at("2026-03-02T12:00"), at("2026-03-07T12:00")
STAGING = f"{PROJECT}/environments/staging"
DEFINE = partial(define, drivers={"process": {}})


def quota(**most: int) -> terms.Quota:
    return terms.Quota(**{f"most_{name}": value for name, value in most.items()})


def ask(
    place: Life,
    *,
    on: Life | None = None,
    strategy: types.Strategy = RECREATE,
    now: datetime = MONDAY,
    others: Room = Room(),  # noqa: B008 - It never changes.
    served: Served = Served(),  # noqa: B008
    by: str = "users/dora",
) -> Outcome:
    on = on or endpoint()
    decide = partial(verbs.request, strategy=strategy, by=[by], around=Around(now, others, served))
    empty = life(rollout().kind, rollout().name)
    return empty.when(decide, on.state, place.state, version().state, NOBODY, NOBODY, types.Rollout())


# -- room


@pytest.mark.parametrize(
    ("on", "newest", "expected"),
    [
        (endpoint(replicas=3), rollout(), 3),
        (endpoint(shifted(share(1, 40), share(2, 60)), replicas=3), rollout(), 6),
        (endpoint(shifted(share(1)), replicas=3), rollout(requested(canary(10)), started()), 6),
        (endpoint(shifted(share(1)), replicas=3), rollout(requested(canary(10))), 6),
        (endpoint(shifted(share(1)), replicas=3), rollout(requested(RECREATE), started()), 3),
        # All traffic is on the new one, and the old one is kept until it has succeeded.
        (endpoint(shifted(share(2)), replicas=3), rollout(requested(canary(10)), started()), 6),
    ],
)
def test_an_endpoint_takes_room_for_what_may_run_at_once(on: Life, newest: Life, expected: int) -> None:
    assert room_of(on.state, newest.state, environment().state) == Room(1, expected)


def test_where_an_autoscaler_decides_there_has_to_be_room_for_the_most() -> None:
    scaled = environment(driver="kubernetes", driver_settings={"replicas_max": "8"})
    assert room_for(endpoint(replicas=2).state, version_name(1), RECREATE, scaled.state) == Room(1, 8)


@pytest.mark.parametrize(
    ("most", "settings", "allowed"),
    [
        ({"endpoints": 4}, {}, True),
        ({"endpoints": 3}, {}, False),
        ({"replicas": 12}, {}, True),
        ({"replicas": 11}, {}, False),
        ({"memory_mib": 12 * 512}, {"memory_mib": "512"}, True),
        ({"memory_mib": 12 * 512 - 1}, {"memory_mib": "512"}, False),
        ({"cpu_millis": 24_000}, {"cpus": "2"}, True),
        ({"cpu_millis": 23_999}, {"cpus": "2"}, False),
        ({"cpu_millis": 12 * 250}, {"cpu_request": "250m"}, True),
        ({"cpu_millis": 12 * 250 - 1}, {"cpu_request": "250m"}, False),
        ({"memory_mib": 12 * 2048 - 1}, {"memory_request": "512Mi", "memory_limit": "2Gi"}, False),
    ],
)
def test_a_quota_counts_all_endpoints_of_the_environment(
    most: dict[str, int], settings: dict[str, str], allowed: bool
) -> None:
    place = environment(quota=quota(**most), driver_settings=settings)
    given = {"description": "", "address": "a", "replicas": 2, "others": Room(3, 10)}
    made = life(endpoint().kind, endpoint().name).when(create, place.state, **given)
    beside = ask(place, on=endpoint(shifted(share(1)), replicas=1), strategy=canary(10), others=Room(3, 10))
    for outcome in (made, beside):
        if allowed:
            assert outcome.event is not None, outcome.refusal
        else:
            outcome.then_refused("QUOTA_EXCEEDED")


def test_a_full_environment_has_room_for_what_takes_the_place_of_the_old() -> None:
    full = environment(quota=quota(replicas=5))
    on = endpoint(shifted(share(1)), replicas=2)
    ask(full, on=on, strategy=canary(10), others=Room(1, 3)).then_refused("QUOTA_EXCEEDED")
    assert ask(full, on=on, strategy=RECREATE, others=Room(1, 3)).event is not None


def test_a_quota_of_what_settings_do_not_limit_is_refused() -> None:
    for most in (quota(memory_mib=1024), quota(cpu_millis=1000)):
        environment().when(DEFINE, driver="", terms=facts.EnvironmentChanged(quota=most)).then_refused(
            "INVALID_REQUEST"
        )
    settings = {"memory_mib": "512", "cpus": "1"}
    wanted = facts.EnvironmentChanged(quota=quota(memory_mib=1024, cpu_millis=1000), driver_settings=settings)
    assert environment().when(DEFINE, driver="", terms=wanted).event is not None


# -- order


def promoting(seconds: int = 0) -> terms.Promotion:
    return terms.Promotion(from_environment=STAGING, served_for=Duration(seconds=seconds))


@pytest.mark.parametrize(
    ("served", "allowed"),
    [
        (Served(), False),
        (Served(False, 5000.0), False),
        (Served(True, 3599.0), False),
        (Served(True, 3600.0), True),
    ],
)
def test_a_version_goes_on_only_when_it_has_proved_itself_before(served: Served, allowed: bool) -> None:
    outcome = ask(environment(promotion=promoting(3600)), served=served)
    if allowed:
        assert outcome.event is not None
    else:
        outcome.then_refused("NOT_PROVED_BEFORE")


def chain(*names: str) -> list[types.Environment]:
    """Each says that the next one is before it."""
    full = [f"{PROJECT}/environments/{name}" for name in names]
    return [
        types.Environment(name=name, promotion=terms.Promotion(from_environment=before))
        for name, before in zip(full, [*full[1:], ""], strict=True)
    ]


@pytest.mark.parametrize(
    ("ahead", "reason"),
    [
        (chain("staging", "dev"), ""),
        (chain("staging"), ""),
        (chain("staging", "production", "dev"), "PROMOTION_CYCLE"),
        (chain("staging", "dev", "production"), "PROMOTION_CYCLE"),
        ([types.Environment()], "ENVIRONMENT_NOT_FOUND"),
        ([types.Environment(name=STAGING, removed=True)], "ENVIRONMENT_NOT_FOUND"),
    ],
)
def test_an_order_that_goes_round_in_circles_is_refused(ahead: list[types.Environment], reason: str) -> None:
    wanted = facts.EnvironmentChanged(promotion=promoting())
    outcome = environment().when(DEFINE, driver="", terms=wanted, ahead=ahead)
    if reason:
        outcome.then_refused(reason)
    else:
        assert outcome.event is not None
    own = facts.EnvironmentChanged(promotion=terms.Promotion(from_environment=ENVIRONMENT_NAME))
    environment().when(DEFINE, driver="", terms=own, ahead=chain("production")).then_refused("PROMOTION_CYCLE")


def test_terms_that_ask_for_nothing_are_as_none() -> None:
    nothing = facts.EnvironmentChanged(
        quota=terms.Quota(), promotion=terms.Promotion(), rollout_approvals=terms.RolloutApprovals()
    )
    environment().when(DEFINE, driver="", terms=nothing).then_nothing()


def test_terms_are_kept_and_replaced_as_a_whole() -> None:
    asked = facts.EnvironmentChanged(
        freezes=[WEEKEND],
        quota=quota(replicas=5),
        rollout_approvals=terms.RolloutApprovals(needed=2),
        secrets={"STORE_KEY": terms.SecretRef(file="store")},
        admitted_phases=[PHASE_PRODUCTION],
    )
    first = life(environment().kind, ENVIRONMENT_NAME).when(DEFINE, driver="", terms=asked).event
    assert isinstance(first, facts.EnvironmentDefined)
    known = life(environment().kind, ENVIRONMENT_NAME).given(first)
    known.when(DEFINE, driver="", terms=asked).then_nothing()
    assert known.state.secrets["STORE_KEY"].file == "store"
    changed = known.when(DEFINE, driver="", terms=facts.EnvironmentChanged(quota=quota(replicas=6))).event
    assert changed is not None
    after = known.given(changed).state
    assert (len(after.freezes), after.quota.most_replicas, after.HasField("rollout_approvals")) == (0, 6, False)


# -- requests


def test_a_frozen_environment_takes_no_requests_but_lets_everything_go_back() -> None:
    frozen = environment(freezes=[WEEKEND], quota=quota(replicas=1), promotion=promoting())
    assert ask(environment(freezes=[WEEKEND])).event is not None
    ask(environment(freezes=[WEEKEND]), now=SATURDAY).then_refused("ENVIRONMENT_FROZEN")
    done = rollout(requested(), started(), facts.RolloutPromoted(), succeeded_by_two()).state
    on = endpoint(shifted(share(2)), replicas=3)
    undo = life(rollout().kind, rollout(number=3).name).when(
        verbs.undo, on.state, frozen.state, version(1).state, NOBODY, NOBODY, done, by=["users/dora"]
    )
    assert isinstance(undo.event, facts.RolloutRequested), undo.refusal
    assert undo.event.approvals_needed == 0


def succeeded_by_two() -> facts.RolloutSucceeded:
    return facts.RolloutSucceeded(version=version_name(2), previous_version=version_name(1))


def test_every_rule_is_told_though_the_first_refuses_already() -> None:
    place = environment(
        freezes=[WEEKEND], quota=quota(replicas=1), promotion=promoting(), admitted_phases=[PHASE_STAGING]
    )
    on, who = endpoint(shifted(share(1)), replicas=2), Deployers(["users/dora"])
    asked = rules(on.state, place.state, version().state, who, Around(SATURDAY))
    found = {one.rule: one for one in findings(asked)}
    assert {rule: one.reason for rule, one in found.items() if not one.passed} == {
        "phase": "PHASE_NOT_ADMITTED",
        "freeze": "ENVIRONMENT_FROZEN",
        "promotion": "NOT_PROVED_BEFORE",
        "quota": "QUOTA_EXCEEDED",
    }
    assert all(one.explanation for one in found.values() if not one.passed)
    assert [one.rule for one in findings(asked) if one.passed] == [
        *("version", "environment", "format", "approval", "separation")
    ]


def test_whoever_asks_names_the_people_behind_and_what_there_is_to_wait_for() -> None:
    event = ask(environment(rollout_approvals=terms.RolloutApprovals(needed=2))).event
    assert isinstance(event, facts.RolloutRequested)
    assert (event.approvals_needed, event.approvals_expire_after.seconds) == (2, 24 * 3600)
    assert list(event.deploying_people) == ["users/dora"]


# -- before it starts


def move(asked: Life, place: Life, *, now: datetime = MONDAY, of: Life | None = None, others: int = 0) -> Move | None:
    where = Place(endpoint().state, now, Room(1, others))
    return start_move(asked.state, place.state, (of or version()).state, where)


def key(found: Move | None) -> str:
    return found.key if found else ""


def test_what_was_free_when_it_was_asked_for_is_looked_at_again() -> None:
    asked, frozen = rollout(requested(before=False)), environment(freezes=[WEEKEND])
    assert key(move(asked, environment())) == "start"
    assert key(move(asked, frozen)) == "start"
    held = move(asked, frozen, now=SATURDAY)
    assert held is not None
    event = held.verb(asked.state, frozen.state, version().state)
    assert isinstance(event, waiting.RolloutHeld)
    assert "frozen by weekends" in event.cause
    waits = rollout(requested(before=False), event)
    assert (waits.state.state, waits.state.cause) == (PENDING, event.cause)
    assert move(waits, frozen, now=SATURDAY) is None, "said once"
    assert key(move(waits, frozen)) == "start"
    begun = waits.given(started()).state
    assert (begun.state, begun.cause) == (PROGRESSING, "")


@pytest.mark.parametrize(
    ("place", "of", "others"),
    [
        (environment(quota=quota(replicas=5)), version(), 5),
        (environment(admitted_phases=[PHASE_STAGING]), version(), 0),
        (environment(approvals_needed=2), version(), 0),
        (environment().given(facts.EnvironmentRemoved()), version(), 0),
    ],
)
def test_what_holds_it_is_said_and_what_goes_back_is_never_held(place: Life, of: Life, others: int) -> None:
    assert key(move(rollout(requested(before=False)), place, of=of, others=others)) == "hold"
    back = rollout(requested(before=False, restores="projects/risk/endpoints/fraud-eu/rollouts/1"))
    found = move(back, place, of=of, others=others, now=SATURDAY)
    assert found is not None
    assert found.verb(back.state, place.state, of.state) == progress.start(back.state)


def test_it_starts_only_with_its_approvals() -> None:
    place = Place(endpoint().state, START)
    assert move(pending(), environment(), now=START) is None
    assert key(move(pending(), environment(), now=START + timedelta(hours=3))) == "expire"
    one = pending().given(approved("users/rita", 1), by="users/rita")
    one.when(start, environment().state, version().state, place=place).then_refused("APPROVALS_MISSING")
    both = one.given(approved("users/omar", 2), by="users/omar")
    assert key(move(both, environment(), now=START + timedelta(days=9))) == "start"
    gone = version(2, registry.VersionRetired(to_stage="retired"))
    assert key(move(pending(), environment(), of=gone)) == "give-up"


def test_a_rollout_that_moved_on_is_neither_started_nor_held() -> None:
    place = Place(endpoint().state, START)
    begun = rollout(requested(), started())
    for verb in (start, hold):
        begun.when(verb, environment().state, version().state, place=place).then_refused("ROLLOUT_MOVED_ON")


# -- what serves already


def test_what_serves_is_flagged_when_new_terms_ask_for_more_approvals() -> None:
    serving = endpoint(shifted(share(2)))
    flagged = serving.when(flag, environment(approvals_needed=2).state, version().state).event
    assert isinstance(flagged, facts.EndpointFlagged)
    assert "has 1 of the 2 approvals" in flagged.flag.cause
    after = serving.given(flagged)
    after.when(flag, environment(approvals_needed=1).state, version().state).then(
        facts.EndpointUnflagged(version=version_name(2))
    )
