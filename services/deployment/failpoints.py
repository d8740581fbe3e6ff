"""Named points at which a test ends the service, to see that the next one goes on. Nothing happens unless armed."""

import os
import signal
from collections.abc import Callable

KUBERNETES_KINDS = (
    *("Deployment", "InferenceService", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
    "HTTPRoute",
)
# Where the service may die: before and after each thing that is done to the world outside of it.
PROCESS_POINTS = tuple(
    f"process.{moment}" for moment in ("before-order", "before-start", "before-pid", "before-stop", "before-forget")
)
KUBERNETES_POINTS = tuple(
    f"kubernetes.{verb}.{kind}.{moment}"
    for verb in ("apply", "delete")
    for kind in KUBERNETES_KINDS
    for moment in ("before", "after")
)
DOCKER_POINTS = tuple(
    f"docker.{verb}.{moment}"
    for verb in ("load", "create", "start", "signal", "remove", "untag")
    for moment in ("before", "after")
)
CONTROLLER_POINTS = tuple(
    f"controller.{moment}" for moment in ("observed", "started", "routed", "stopped", "before-fact", "after-fact")
)
POINTS = frozenset((*PROCESS_POINTS, *DOCKER_POINTS, *KUBERNETES_POINTS, *CONTROLLER_POINTS))


class Crash(BaseException):
    """Stands for the death of the process, in tests that live in it: nobody catches it on the way."""


_armed: Callable[[str], None] | None = None


def reached(point: str) -> None:
    """Says that the service has come to this point."""
    if _armed is not None:
        assert point in POINTS, point
        _armed(point)


def arm(action: Callable[[str], None] | None) -> None:
    """Calls `action` with the name of each point that is reached from now on; None disarms."""
    global _armed
    _armed = action


def kill_at(point: str) -> None:
    """The process dies as by a loss of power when it reaches this point."""
    if point not in POINTS:
        raise SystemExit(f"MODELOG_FAILPOINT: there is no point {point!r}")

    def die(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    arm(die)
