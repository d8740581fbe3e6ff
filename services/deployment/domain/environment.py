"""Environments: where models run, and which versions may run there."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from kernel.errors import NotAllowedNow, NotFound, UnknownFact
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.environment_events_pb2 import FreezeLifted
from modelog.deployment.v1.types_pb2 import Environment
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1.types_pb2 import PHASE_PRODUCTION
from services.deployment.domain.driver_settings import SETTINGS, check_settings
from services.deployment.domain.freeze import check_freezes, fold_lift
from services.deployment.domain.promotion import check_order
from services.deployment.domain.quota import check_quota
from services.deployment.domain.secrets import check_no_secrets, check_secrets

DEFAULT_DRIVER = "process"
# Names of drivers, and to which values this installation narrows which of their settings.
Drivers = Mapping[str, Mapping[str, Sequence[str]]]


def define(
    environment: Environment,
    *,
    driver: str,
    terms: facts.EnvironmentChanged,
    drivers: Drivers,
    name: str = "",
    ahead: Sequence[Environment] = (),
) -> facts.EnvironmentDefined | facts.EnvironmentChanged | None:
    """Creates the environment or gives it new terms. `drivers`: those this installation has.

    terms: everything but the driver; no phases means those of before, or PRODUCTION for a new environment. name: of the
    environment, which has none yet when it is new. ahead: the environments before it, see promotion.check_order.
    """
    driver = driver or environment.driver or DEFAULT_DRIVER
    if environment.removed:
        raise NotAllowedNow("ENVIRONMENT_REMOVED", f"{environment.name} was removed; names are not used again")
    if driver not in drivers:
        raise NotAllowedNow(
            "DRIVER_NOT_AVAILABLE", f"there is no driver {driver!r} here; choose one of {', '.join(sorted(drivers))}"
        )
    before = environment.driver_settings if environment.name else None
    check_no_secrets(terms.driver_settings, SETTINGS.get(driver, {}))
    check_settings(driver, terms.driver_settings, choices=drivers[driver], before=before)
    wanted = _complete(environment, driver, terms)
    check_order(name or environment.name, wanted.promotion, ahead)
    if not environment.name:
        event = facts.EnvironmentDefined(driver=driver)
        _copy_terms(wanted, event)
        return event
    if driver != environment.driver:
        raise NotAllowedNow(
            "DRIVER_IS_FIXED", f"{environment.name} runs on {environment.driver}; define another one for {driver}"
        )
    present = facts.EnvironmentChanged()
    _copy_terms(environment, present)
    return None if wanted == present else wanted


def _complete(environment: Environment, driver: str, terms: facts.EnvironmentChanged) -> facts.EnvironmentChanged:
    """The terms as they are recorded, checked as far as they stand for themselves; what limits nothing is left out."""
    wanted = facts.EnvironmentChanged()
    wanted.CopyFrom(terms)
    wanted.admitted_phases[:] = sorted(terms.admitted_phases or environment.admitted_phases or [PHASE_PRODUCTION])
    if not wanted.quota.ByteSize():
        wanted.ClearField("quota")
    if not wanted.promotion.from_environment:
        wanted.ClearField("promotion")
    if not wanted.rollout_approvals.needed:
        wanted.ClearField("rollout_approvals")
    check_freezes(wanted.freezes)
    check_secrets(driver, wanted.secrets)
    check_quota(Environment(driver=driver, driver_settings=wanted.driver_settings, quota=wanted.quota))
    return wanted


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


def evolve_environment(environment: Environment, event: Message, envelope: Fact) -> None:
    match event:
        case facts.EnvironmentDefined():
            environment.driver = event.driver
            _copy_terms(event, environment)
        case facts.EnvironmentChanged():
            _copy_terms(event, environment)
        case facts.EnvironmentRemoved():
            environment.removed = True
        case FreezeLifted():
            fold_lift(environment, event, envelope)
        case _:
            raise UnknownFact(event)


def _copy_terms(source: Any, target: Any) -> None:
    """Every term, by its name: the facts and the environment have the same."""
    for field in facts.EnvironmentChanged.DESCRIPTOR.fields:
        target.ClearField(field.name)
        value = getattr(source, field.name)
        if field.is_repeated:
            getattr(target, field.name).MergeFrom(value)
        elif field.message_type is None:
            setattr(target, field.name, value)
        elif source.HasField(field.name):
            getattr(target, field.name).CopyFrom(value)
