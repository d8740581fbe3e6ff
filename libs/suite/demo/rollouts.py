"""Rolling a version out and waiting for how it ends."""

from google.protobuf.duration_pb2 import Duration

from modelog.deployment.v1 import deployment_service_pb2 as rpc
from modelog.deployment.v1 import events_pb2 as facts
from modelog.deployment.v1.types_pb2 import Analysis, Canary, CanaryStep, Strategy
from modelog.sdk import Entry
from suite.demo.stage import OTTO, Stage

_LEAST_REQUESTS = 10
_MOST_ERRORS = 0.02
_LONGEST_MS = 1000.0
_ENDS = (facts.RolloutSucceeded, facts.RolledBack, facts.RolloutFailed, facts.StepInconclusive)


def canary(*steps: tuple[int, float]) -> Strategy:
    """Steps of (percent, seconds), each judged by what live requests show: errors, latency, alerts."""
    shares = [
        CanaryStep(percent=percent, duration=Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds)))
        for percent, seconds in steps
    ]
    analysis = Analysis(
        max_error_rate=_MOST_ERRORS,
        max_latency_ms=_LONGEST_MS,
        min_requests=_LEAST_REQUESTS,
        max_inconclusive=10,
        rollback_on_alert=True,
    )
    return Strategy(canary=Canary(steps=shares, analysis=analysis))


async def request(stage: Stage, endpoint: str, number: int, strategy: Strategy) -> str:
    """Asks for version `number` on the endpoint; the name of the rollout."""
    asked = await stage.client.deployment.RequestRollout(
        rpc.RequestRolloutRequest(parent=endpoint, version=stage.names.version(number), strategy=strategy),
        metadata=stage.by(OTTO),
    )
    return asked.name


async def ending(stage: Stage, rollout: str) -> Entry:
    """The fact that ends a rollout, or leaves it waiting for a person."""
    return await stage.journal.first(*_ENDS, of=rollout, where=lambda event: getattr(event, "paused", True))


async def succeeded(stage: Stage, rollout: str, what: str) -> Entry:
    """Waits for the end and checks that it is the good one."""
    end = await ending(stage, rollout)
    found = type(end.event).__name__
    cause = getattr(end.event, "cause", "")
    stage.report.check(what, "RolloutSucceeded", f"{found}: {cause}" if cause else found)
    return end
