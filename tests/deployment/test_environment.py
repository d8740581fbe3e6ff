"""Environments: defining, changing, removing."""

from functools import partial

import pytest

from modelog.deployment.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION, PHASE_STAGING
from services.deployment.domain import ENVIRONMENT
from services.deployment.domain.environment import define, remove
from testkit.scenario import life
from tests.deployment.build import ENVIRONMENT_NAME, environment

DEFINE = partial(define, drivers={"process": {}})
NEW = life(ENVIRONMENT, ENVIRONMENT_NAME)
REMOVED = facts.EnvironmentRemoved()


def test_production_only_on_the_process_driver_unless_told_otherwise() -> None:
    expected = facts.EnvironmentDefined(driver="process", admitted_phases=[PHASE_PRODUCTION], description="here")
    NEW.when(DEFINE, driver="", terms=facts.EnvironmentChanged(description="here")).then(expected)


def test_new_terms_replace_the_old_ones_but_phases_stay_when_none_are_given() -> None:
    terms = facts.EnvironmentChanged(approvals_needed=2, protected=True, driver_settings={"threads": "2"})
    expected = facts.EnvironmentChanged(
        approvals_needed=2, protected=True, driver_settings={"threads": "2"}, admitted_phases=[PHASE_STAGING]
    )
    environment(admitted_phases=[PHASE_STAGING]).when(DEFINE, driver="", terms=terms).then(expected)


def test_the_same_terms_are_nothing_new() -> None:
    terms = facts.EnvironmentChanged(
        admitted_phases=[PHASE_PRODUCTION, PHASE_STAGING], driver_settings={"threads": "2"}
    )
    known = environment(admitted_phases=[PHASE_STAGING, PHASE_PRODUCTION], driver_settings={"threads": "2"})
    known.when(DEFINE, driver="process", terms=terms).then_nothing()


def test_drivers_that_are_not_here_are_refused_and_a_driver_stays() -> None:
    terms = facts.EnvironmentChanged()
    NEW.when(DEFINE, driver="kubernetes", terms=terms).then_refused("DRIVER_NOT_AVAILABLE")
    elsewhere = environment(driver="docker")
    elsewhere.when(define, driver="process", terms=terms, drivers={"process": {}}).then_refused("DRIVER_IS_FIXED")
    elsewhere.when(define, driver="", terms=terms, drivers={"process": {}}).then_refused("DRIVER_NOT_AVAILABLE")


@pytest.mark.parametrize("settings", [{"threads": "many"}, {"threads": "0"}, {"threads": "²"}, {"colour": "red"}])
def test_settings_the_driver_does_not_have_are_refused(settings: dict[str, str]) -> None:
    terms = facts.EnvironmentChanged(driver_settings=settings)
    NEW.when(DEFINE, driver="", terms=terms).then_refused("INVALID_REQUEST")


def test_removing_needs_an_empty_environment_and_is_for_ever() -> None:
    environment().when(remove, endpoints=["projects/risk/endpoints/e"]).then_refused("ENVIRONMENT_HAS_ENDPOINTS")
    environment().when(remove, endpoints=[]).then(REMOVED)
    environment().given(REMOVED).when(remove, endpoints=[]).then_nothing()
    NEW.when(remove, endpoints=[]).then_refused("ENVIRONMENT_NOT_FOUND")
    again = environment().given(REMOVED)
    again.when(DEFINE, driver="", terms=facts.EnvironmentChanged()).then_refused("ENVIRONMENT_REMOVED")
