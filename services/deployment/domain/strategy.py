"""Every strategy is steps of traffic; they differ in the steps and in when the old version goes."""

from collections.abc import Sequence
from typing import NamedTuple

from kernel.errors import invalid_field
from modelog.deployment.v1.types_pb2 import Analysis, Strategy, TrafficShare
from services.deployment.domain.analysis import check_analysis

_ALL = 100
_READY_SECONDS = 60.0
_INCONCLUSIVE = 3


class Step(NamedTuple):
    """percent of the traffic for `seconds`, then judged; pause waits for a person after it has passed."""

    percent: int
    seconds: float
    pause: bool = False


def steps_of(strategy: Strategy) -> tuple[Step, ...]:
    """The steps before promotion."""
    match strategy.WhichOneof("kind"):
        case "canary":
            return tuple(Step(one.percent, _seconds(one.duration), one.pause) for one in strategy.canary.steps)
        case "blue_green":
            return (Step(_ALL, _seconds(strategy.blue_green.soak)),)
        case _:
            return (Step(_ALL, 0.0),)


def analysis_of(strategy: Strategy) -> Analysis | None:
    """What the steps have to show, or None when only time counts."""
    match strategy.WhichOneof("kind"):
        case "canary" if strategy.canary.HasField("analysis"):
            return strategy.canary.analysis
        case "blue_green" if strategy.blue_green.HasField("analysis"):
            return strategy.blue_green.analysis
        case _:
            return None


def serves_alone(strategy: Strategy, step: Step) -> bool:
    """Whether the version gets all requests of the step, so that there is nothing to compare it with."""
    return step.percent >= _ALL and strategy.WhichOneof("kind") != "shadow"


def old_goes_first(strategy: Strategy) -> bool:
    """Whether the version before stops before the new one starts."""
    return bool(strategy.WhichOneof("kind") == "recreate")


def ready_seconds(strategy: Strategy) -> float:
    """How long replicas may take to become ready."""
    return _seconds(strategy.ready_deadline) if strategy.HasField("ready_deadline") else _READY_SECONDS


def most_inconclusive(analysis: Analysis) -> int:
    return analysis.max_inconclusive or _INCONCLUSIVE


def check_strategy(strategy: Strategy) -> None:
    """Refuses what limits on single fields cannot tell: no kind, or steps that do not grow."""
    if not strategy.WhichOneof("kind"):
        raise invalid_field("strategy.kind", "choose recreate, canary or blue_green", "REQUIRED")
    percents = [one.percent for one in strategy.canary.steps]
    if percents != sorted(set(percents)):
        raise invalid_field("strategy.canary.steps", f"shares have to grow, but are {percents}", "STEPS_NOT_GROWING")
    if (analysis := analysis_of(strategy)) is not None:
        compares = any(not serves_alone(strategy, step) for step in steps_of(strategy))
        check_analysis(analysis, f"strategy.{strategy.WhichOneof('kind')}.analysis", compares=compares)


def split(version: str, percent: int, previous: Sequence[TrafficShare]) -> list[tuple[str, int]]:
    """(version, percent) adding up to 100: `percent` for the version, the rest in the proportions there were before.

    Percents are whole numbers; the rest is given by largest remainder, ties to the earlier share. Where nothing served
    before, the version gets everything.
    """
    others = [share for share in previous if share.version != version and share.percent > 0]
    if not others or percent >= _ALL:
        return [(version, _ALL)]
    rest, whole = _ALL - percent, sum(share.percent for share in others)
    parts = [(rest * share.percent // whole, -(rest * share.percent % whole)) for share in others]
    missing = rest - sum(size for size, _ in parts)
    first = sorted(range(len(others)), key=lambda index: parts[index][1])[:missing]
    given = [(one.version, parts[index][0] + (index in first)) for index, one in enumerate(others)]
    return [(version, percent), *((name, size) for name, size in given if size > 0)]


def _seconds(duration: object) -> float:
    seconds: float = duration.ToTimedelta().total_seconds()  # type: ignore[attr-defined]
    return seconds
