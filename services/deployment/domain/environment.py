"""Environments: where models run, and which versions may run there."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import Environment
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION
from services.deployment.domain.driver_settings import check_settings

DEFAULT_DRIVER = "process"
# Names of drivers, and to which values this installation narrows which of their settings.
Drivers = Mapping[str, Mapping[str, Sequence[str]]]


def define(
    environment: Environment, *, driver: str, terms: facts.EnvironmentChanged, drivers: Drivers
) -> facts.EnvironmentDefined | facts.EnvironmentChanged | None:
    """Creates the environment or gives it new terms. `drivers`: those this installation has.

    terms: everything but the driver; no phases means those of before, or PRODUCTION for a new environment.
    """
    driver = driver or environment.driver or DEFAULT_DRIVER
    if environment.removed:
        raise NotAllowedNow("ENVIRONMENT_REMOVED", f"{environment.name} was removed; names are not used again")
    if driver not in drivers:
        raise NotAllowedNow(
            "DRIVER_NOT_AVAILABLE", f"there is no driver {driver!r} here; choose one of {', '.join(sorted(drivers))}"
        )
    before = environment.driver_settings if environment.name else None
    check_settings(driver, terms.driver_settings, choices=drivers[driver], before=before)
    wanted = facts.EnvironmentChanged()
    wanted.CopyFrom(terms)
    wanted.admitted_phases[:] = sorted(terms.admitted_phases or environment.admitted_phases or [PHASE_PRODUCTION])
    if not environment.name:
        return facts.EnvironmentDefined(
            driver=driver,
            description=wanted.description,
            driver_settings=wanted.driver_settings,
            admitted_phases=wanted.admitted_phases,
            approvals_needed=wanted.approvals_needed,
            protected=wanted.protected,
        )
    if driver != environment.driver:
        raise NotAllowedNow(
            "DRIVER_IS_FIXED", f"{environment.name} runs on {environment.driver}; define another one for {driver}"
        )
    present = facts.EnvironmentChanged(
        description=environment.description,
        driver_settings=environment.driver_settings,
        admitted_phases=environment.admitted_phases,
        approvals_needed=environment.approvals_needed,
        protected=environment.protected,
    )
    return None if wanted == present else wanted


def remove(environment: Environment, *, endpoints: Sequence[str]) -> facts.EnvironmentRemoved | None:
    """`endpoints`: names of those that still live in it, as far as they were looked up."""
    if not environment.name:
        raise NotFound("ENVIRONMENT_NOT_FOUND", "there is no such environment")
    if environment.removed:
        return None
    if endpoints:
        raise NotAllowedNow(
            "ENVIRONMENT_HAS_ENDPOINTS",
            f"remove its endpoints first: {', '.join(endpoints)}",
            metadata={"endpoints": " ".join(endpoints)},
        )
    return facts.EnvironmentRemoved()


def evolve_environment(environment: Environment, event: Message, _envelope: Fact) -> None:
    match event:
        case facts.EnvironmentDefined():
            environment.driver = event.driver
            _fold_terms(environment, event)
        case facts.EnvironmentChanged():
            _fold_terms(environment, event)
        case facts.EnvironmentRemoved():
            environment.removed = True
        case _:
            raise UnknownFact(event)


def _fold_terms(environment: Environment, event: facts.EnvironmentDefined | facts.EnvironmentChanged) -> None:
    environment.description = event.description
    environment.driver_settings.clear()
    environment.driver_settings.update(event.driver_settings)
    environment.admitted_phases[:] = event.admitted_phases
    environment.approvals_needed = event.approvals_needed
    environment.protected = event.protected
