"""Every strategy is steps of traffic; they differ in the steps and in when the old version goes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration

from kernel.errors import invalid_field
from modelog.deployment.v1.types_pb2 import Analysis, Canary, Endpoint, Environment, Strategy, TrafficShare
from services.deployment.domain.analysis import check_analysis
from services.deployment.domain.rolling import batches, check_leeway, percent_of

_ALL = 100
_READY_SECONDS = 60.0
_INCONCLUSIVE = 3
_RESTARTS = 5


class Step(NamedTuple):
    """percent of the traffic for `seconds`, then judged; pause waits for a person after it has passed.

    percent 0 leaves the traffic as it was. mirror: percent of requests that are copied to the version. replicas: how
    many of the version's replicas are wanted; 0 for all of them.
    """

    percent: int
    seconds: float
    pause: bool = False
    mirror: int = 0
    replicas: int = 0


def steps_of(strategy: Strategy, replicas: int = 1) -> tuple[Step, ...]:
    """The steps before promotion. replicas: wanted ones of the version, which matter to a rolling rollout."""
    match strategy.WhichOneof("kind"):
        case "canary":
            return _canary(strategy.canary)
        case "blue_green":
            gate = (Step(0, 0.0, pause=True),) if strategy.blue_green.gate else ()
            return (*gate, Step(_ALL, seconds_of(strategy.blue_green.soak)))
        case "rolling":
            seconds = seconds_of(strategy.rolling.step)
            sizes = batches(strategy.rolling, replicas)
            return tuple(Step(percent_of(size, replicas), seconds, replicas=size) for size in sizes)
        case "shadow":
            shadow = strategy.shadow
            return (Step(0, seconds_of(shadow.duration), mirror=shadow.percent), *_canary(shadow.then))
        case _:
            return (Step(_ALL, 0.0),)


def _canary(canary: Canary) -> tuple[Step, ...]:
    return tuple(Step(one.percent, seconds_of(one.duration), one.pause) for one in canary.steps)


def analysis_of(strategy: Strategy, step: int = 1) -> Analysis | None:
    """What the step (1..k, 0 before the first) has to show, or None when only time counts."""
    match strategy.WhichOneof("kind"):
        case "canary":
            judged: Any = strategy.canary
        case "blue_green" if step > 1 or not strategy.blue_green.gate:
            judged = strategy.blue_green
        case "rolling":
            judged = strategy.rolling
        case "shadow":
            judged = strategy.shadow if step <= 1 else strategy.shadow.then
        case _:
            return None
    return judged.analysis if judged.HasField("analysis") else None


def serves_alone(strategy: Strategy, step: Step) -> bool:
    """Whether the version gets all requests of the step, so that there is nothing to compare it with."""
    return step.percent >= _ALL and strategy.WhichOneof("kind") != "shadow"


def old_goes_first(strategy: Strategy) -> bool:
    """Whether the version before stops before the new one starts."""
    return bool(strategy.WhichOneof("kind") == "recreate")


def ready_seconds(strategy: Strategy) -> float:
    """How long replicas may take to become ready."""
    return seconds_of(strategy.ready_deadline) if strategy.HasField("ready_deadline") else _READY_SECONDS


def most_inconclusive(analysis: Analysis | None) -> int:
    """After so many windows without a verdict a person is asked; analysis None: a shadow may be judged without one."""
    return (analysis.max_inconclusive if analysis is not None else 0) or _INCONCLUSIVE


def progress_seconds(strategy: Strategy) -> float | None:
    """How long nothing may move on, beyond what a step asks for; None for no limit."""
    return seconds_of(strategy.progress_deadline) if strategy.HasField("progress_deadline") else None


def most_restarts(strategy: Strategy) -> int:
    """How often in a row a replica of the version may end by itself."""
    return strategy.max_restarts or _RESTARTS


def only_shadows(strategy: Strategy) -> bool:
    """Whether the rollout ends without moving traffic."""
    return bool(strategy.WhichOneof("kind") == "shadow" and not strategy.shadow.HasField("then"))


def check_strategy(strategy: Strategy) -> None:
    """Refuses what limits on single fields cannot tell: no kind, or steps that do not grow."""
    if not strategy.WhichOneof("kind"):
        raise invalid_field("strategy.kind", "choose recreate, rolling, canary, blue_green or shadow", "REQUIRED")
    for field, canary in (("canary", strategy.canary), ("shadow.then", strategy.shadow.then)):
        percents = [one.percent for one in canary.steps]
        if percents != sorted(set(percents)):
            raise invalid_field(
                f"strategy.{field}.steps", f"shares have to grow, but are {percents}", "STEPS_NOT_GROWING"
            )
    _check_analyses(strategy)


def _check_analyses(strategy: Strategy) -> None:
    kind = str(strategy.WhichOneof("kind"))
    compares = kind == "rolling" or any(not serves_alone(strategy, step) for step in steps_of(strategy))
    judged: list[tuple[str, Any]] = [(kind, getattr(strategy, kind)), ("shadow.then", strategy.shadow.then)]
    for field, one in judged:
        if field != "recreate" and one.HasField("analysis"):
            check_analysis(one.analysis, f"strategy.{field}.analysis", compares=compares)


def check_fits(strategy: Strategy, endpoint: Endpoint, environment: Environment) -> None:
    """Refuses a strategy that cannot work on this endpoint as it is."""
    match strategy.WhichOneof("kind"):
        case "rolling":
            check_leeway(strategy.rolling, endpoint.replicas)
            if _scales(environment, endpoint):
                advice = f"an autoscaler decides on the replicas in {environment.name}; use canary or blue_green there"
                raise invalid_field("strategy.rolling", advice, "REPLICAS_NOT_OURS")
        case "shadow" if environment.driver == "kubernetes":
            advice = f"requests are not copied in clusters, where {environment.name} is; use a canary"
            raise invalid_field("strategy.shadow", advice, "NOT_COPIED")
        case "shadow" if not endpoint.traffic:
            advice = f"no version serves {endpoint.name}, so there are no requests to copy; use recreate for the first"
            raise invalid_field("strategy.shadow", advice, "NOTHING_SERVES")


def _scales(environment: Environment, endpoint: Endpoint) -> bool:
    """Whether somebody else sets the number of replicas, or sets a floor to it."""
    settings = environment.driver_settings
    return int(settings.get("replicas_max", "0")) > endpoint.replicas or int(settings.get("replicas_min", "0")) > 1


def split(version: str, percent: int, previous: Sequence[TrafficShare]) -> list[tuple[str, int]]:
    """(version, percent) adding up to 100: `percent` for the version, the rest in the proportions there were before.

    Percents are whole numbers; the rest is given by largest remainder, ties to the earlier share. Where nothing served
    before, the version gets everything. percent 0 is what there was before.
    """
    if percent == 0:
        return [(share.version, share.percent) for share in previous]
    others = [share for share in previous if share.version != version and share.percent > 0]
    if not others or percent >= _ALL:
        return [(version, _ALL)]
    rest, whole = _ALL - percent, sum(share.percent for share in others)
    parts = [(rest * share.percent // whole, -(rest * share.percent % whole)) for share in others]
    missing = rest - sum(size for size, _ in parts)
    first = sorted(range(len(others)), key=lambda index: parts[index][1])[:missing]
    given = [(one.version, parts[index][0] + (index in first)) for index, one in enumerate(others)]
    return [(version, percent), *((name, size) for name, size in given if size > 0)]


def seconds_of(duration: Duration) -> float:
    """Seconds of a duration; 0 for one that was not given."""
    return float(duration.ToTimedelta().total_seconds())
