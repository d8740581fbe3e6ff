"""Holds, restoring, and what is deprecated for too long."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from modelog.archive.v1 import events_pb2 as archive
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1 import types_pb2 as types
from services.registry.domain import KNOWN_HOLD, VERSION
from services.registry.domain.ending import deprecated, restore_version
from services.registry.domain.hold import covering
from services.registry.domain.version import retire_version
from testkit.scenario import Life, Outcome, life
from tests.registry.build import ADA, BEN, MODEL_NAME, NOW, PROJECT_NAME, VERSION_NAME, model, project, registered
from tests.registry.governing import after, moving, requested

HOLD = f"{PROJECT_NAME}/holds/case-17"
retired = facts.VersionRetired(to_stage="retired")
archived = facts.VersionArchived(to_stage="archived", record=f"{PROJECT_NAME}/records/fraud-1")


def restored(version: Life, by: str = BEN, within: Any = None, of: Any = None) -> Outcome:
    return version.when(restore_version, of or model(), within or project(), actors=[by], now=NOW)


def test_a_hold_forbids_retiring() -> None:
    outcome = registered().when(retire_version, model(), project(), serving=(), holds=[HOLD])
    outcome.then_refused("VERSION_HELD")
    assert outcome.refusal is not None
    assert outcome.refusal.metadata == {"holds": HOLD}
    assert registered().when(retire_version, model(), project(), serving=(), holds=[]).event is not None


def test_a_hold_covers_what_is_below_it() -> None:
    assert list(covering(VERSION_NAME)) == [PROJECT_NAME, MODEL_NAME, VERSION_NAME]
    hold = life(KNOWN_HOLD, HOLD).given(archive.HoldPlaced(resources=[MODEL_NAME]))
    assert (list(hold.state.resources), hold.state.released) == ([MODEL_NAME], False)
    assert hold.given(archive.HoldReleased()).state.released


@pytest.mark.parametrize("end", [(retired,), (retired, archived)])
def test_a_restored_version_begins_anew_and_nothing_of_it_is_lost(end: tuple[Any, ...]) -> None:
    version = registered()
    after(version, moving(version, project()))
    version.given(facts.VersionDeprecated(message="old"), *end)
    moving(version, project()).then_refused("VERSION_RETIRED")
    after(version, restored(version), by=BEN)
    assert (version.state.stage, version.state.phase) == ("development", types.PHASE_DEVELOPMENT)
    assert [one.to_stage for one in version.state.verdicts] == ["testing"]
    assert not version.state.HasField("deprecation")
    assert version.state.record == (archived.record if len(end) > 1 else "")
    assert moving(version, project()).event is not None


def test_a_request_of_its_former_life_stays_void() -> None:
    version = requested(registered(), project()).given(retired)
    after(version, restored(version), by=BEN)
    assert version.state.transition.state == types.TRANSITION_STATE_VOID


def test_restoring_is_refused_to_makers_and_to_what_is_alive() -> None:
    within = project()
    within.service_accounts["serviceaccounts/bot"].owner = ADA
    for one in (ADA, "serviceaccounts/bot"):
        restored(registered(retired), one, within).then_refused("SEPARATION_OF_DUTIES")
    restored(registered()).then_refused("VERSION_NOT_RETIRED")
    restored(registered(retired), of=model(facts.ModelRetired())).then_refused("MODEL_RETIRED")
    restored(life(VERSION, VERSION_NAME)).then_refused("VERSION_NOT_FOUND")


def test_a_version_is_overdue_once_its_sunset_has_passed_and_until_it_is_retired() -> None:
    sunset = Timestamp()
    sunset.FromDatetime(NOW)
    version = registered()
    assert not deprecated(version.state)
    version.given(facts.VersionDeprecated())
    assert deprecated(version.state)
    assert not deprecated(version.state, NOW)
    version.given(facts.VersionDeprecated(sunset_time=sunset))
    assert not deprecated(version.state, NOW - timedelta(seconds=1))
    assert deprecated(version.state, NOW)
    assert not deprecated(version.given(retired).state, NOW)
