"""The order of environments: a version proves itself in one before it is rolled out in the next."""

from collections.abc import Sequence
from typing import NamedTuple

from kernel.errors import NotAllowedNow, NotFound
from kernel.names import project_of
from modelog.deployment.v1.environments_pb2 import Promotion
from modelog.deployment.v1.types_pb2 import Environment


class Served(NamedTuple):
    """What is known of a version in the environment before. succeeded: a rollout did, and was not undone.

    seconds: how long it has served there, on the endpoint where it did so longest.
    """

    succeeded: bool = False
    seconds: float = 0.0


NOT_YET = Served()


def check_promotion(environment: Environment, version: str, served: Served) -> None:
    """Refuses a version that has not proved itself in the environment before this one."""
    before = environment.promotion.from_environment
    if not before:
        return
    needed = float(environment.promotion.served_for.ToSeconds())
    if served.succeeded and served.seconds >= needed:
        return
    how = f"it has served there for {served.seconds:.0f} of {needed:.0f} s" if served.succeeded else "it has not yet"
    raise NotAllowedNow(
        "NOT_PROVED_BEFORE",
        f"{environment.name} takes only what has been rolled out with success in {before}"
        f"{f' and served there for {needed:.0f} s' if needed else ''}: {version}: {how}",
        metadata={"environment": before},
    )


def check_order(name: str, promotion: Promotion, ahead: Sequence[Environment]) -> None:
    """Refuses an environment before this one that does not exist, or to which this one leads itself.

    ahead: the environment before this one, the one before that, and so on; the last names none, or one among them.
    """
    before = promotion.from_environment
    if not before:
        return
    if project_of(before) != project_of(name):
        raise NotAllowedNow("OTHER_PROJECT", f"{before} belongs to another project than {name}")
    if name == before or any(name in (one.name, one.promotion.from_environment) for one in ahead):
        chain = " -> ".join([name, *(one.name for one in ahead if one.name != name), name])
        raise NotAllowedNow("PROMOTION_CYCLE", f"a version could never get anywhere: {chain}; name another one")
    if not ahead or not ahead[0].name or ahead[0].removed:
        raise NotFound("ENVIRONMENT_NOT_FOUND", f"there is no {before} that a version could prove itself in")
