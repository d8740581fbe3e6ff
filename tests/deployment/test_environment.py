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


CLUSTER = {"gateway": "infra/public", "url": "https://models.example.com", "artifacts": "pvc://artifacts"}
HERE = {"kubernetes": {"namespace": ("models", "models-eu"), "image": ("registry.example/modelog:1",)}}


@pytest.mark.parametrize(
    "settings",
    [
        {"gateway": "infra/public"},
        CLUSTER | {"namespace": "kube-system"},
        CLUSTER | {"image": "registry.example/evil:1"},
        CLUSTER | {"gateway": "a/b/c"},
        CLUSTER | {"url": "https://models.example.com/path"},
        CLUSTER | {"url": "ftp://models.example.com"},
        CLUSTER | {"artifacts": "pvc://artifacts/../secrets"},
        CLUSTER | {"artifacts": "file:///etc"},
        CLUSTER | {"form": "pod"},
        CLUSTER | {"cpu_request": "lots"},
        CLUSTER | {"cpu_request": "2", "cpu_limit": "1500m"},
        CLUSTER | {"memory_request": "2Gi", "memory_limit": "2047Mi"},
        CLUSTER | {"replicas_min": "3", "replicas_max": "2"},
        CLUSTER | {"replicas_max": "100000"},
        CLUSTER | {"pull_secret": "UPPER"},
        CLUSTER | {"memory_mib": "512"},
    ],
)
def test_settings_a_cluster_must_not_get_are_refused(settings: dict[str, str]) -> None:
    terms = facts.EnvironmentChanged(driver_settings=settings)
    NEW.when(define, driver="kubernetes", terms=terms, drivers=HERE).then_refused("INVALID_REQUEST")


def test_an_environment_on_a_cluster_stays_where_it_is() -> None:
    given = CLUSTER | {"namespace": "models-eu", "cpu_request": "500m", "cpu_limit": "1", "replicas_max": "4"}
    event = facts.EnvironmentDefined(
        driver="kubernetes", driver_settings=given, admitted_phases=[PHASE_PRODUCTION], description="eu"
    )
    terms = facts.EnvironmentChanged(driver_settings=given, description="eu")
    NEW.when(define, driver="kubernetes", terms=terms, drivers=HERE).then(event)
    known = environment(driver="kubernetes", driver_settings=given)
    for moved in ({"namespace": "models"}, {"form": "kserve"}):
        elsewhere = facts.EnvironmentChanged(driver_settings=given | moved)
        known.when(define, driver="", terms=elsewhere, drivers=HERE).then_refused("SETTING_IS_FIXED")
    larger = facts.EnvironmentChanged(driver_settings=given | {"replicas_max": "8"}, admitted_phases=[PHASE_PRODUCTION])
    known.when(define, driver="", terms=larger, drivers=HERE).then(larger)


def test_where_no_images_are_chosen_for_everybody_each_environment_names_its_own() -> None:
    drivers = {"kubernetes": {"namespace": ("models",), "image": ()}}
    terms = facts.EnvironmentChanged(driver_settings=CLUSTER)
    NEW.when(define, driver="kubernetes", terms=terms, drivers=drivers).then_refused("INVALID_REQUEST")


def test_removing_needs_an_empty_environment_and_is_for_ever() -> None:
    environment().when(remove, endpoints=["projects/risk/endpoints/e"]).then_refused("ENVIRONMENT_HAS_ENDPOINTS")
    environment().when(remove, endpoints=[]).then(REMOVED)
    environment().given(REMOVED).when(remove, endpoints=[]).then_nothing()
    NEW.when(remove, endpoints=[]).then_refused("ENVIRONMENT_NOT_FOUND")
    again = environment().given(REMOVED)
    again.when(DEFINE, driver="", terms=facts.EnvironmentChanged()).then_refused("ENVIRONMENT_REMOVED")
