"""Environments: where models run, and which versions may run there."""

from collections.abc import Collection, Mapping, Sequence

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact, invalid_field
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import Environment
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION

DEFAULT_DRIVER = "process"
# What each driver lets an environment choose: the smallest and the largest whole number.
SETTINGS = {"process": {"threads": (1, 64)}}


def define(
    environment: Environment, *, driver: str, terms: facts.EnvironmentChanged, drivers: Collection[str]
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
    check_settings(driver, terms.driver_settings)
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


def check_settings(driver: str, settings: Mapping[str, str]) -> None:
    """Refuses a setting that the driver does not have, or a value it cannot take."""
    known = SETTINGS.get(driver, {})
    for name, value in settings.items():
        if name not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise invalid_field(
                "driver_settings", f"{driver} has no setting {name!r}; it has {choices}", "UNKNOWN_SETTING"
            )
        smallest, largest = known[name]
        if not value.isascii() or not value.isdigit() or not smallest <= int(value[:9]) <= largest:
            wanted = f"a whole number from {smallest} to {largest}"
            raise invalid_field("driver_settings", f"{name} is {wanted}, not {value!r}", "BAD_SETTING")


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
