"""Step 5: version 2 answers the retraining and takes over by canary; version 3 passes every gate and fails alive."""

from collections import Counter
from collections.abc import Sequence

from modelog.deployment.v1 import events_pb2 as deployment
from modelog.deployment.v1.types_pb2 import TRIGGER_ANALYSIS, Trigger
from modelog.monitoring.v1 import events_pb2 as monitoring
from modelog.monitoring.v1 import monitoring_service_pb2 as monitoring_rpc
from modelog.monitoring.v1.types_pb2 import TRACK_LABELS
from modelog.registry.v1 import registry_service_pb2 as rpc
from modelog.registry.v1.registry_service_pb2 import CompareVersionsResponse
from suite.demo.approving import describe, move
from suite.demo.registering import measure, register
from suite.demo.rollouts import canary, ending, request, succeeded
from suite.demo.serving import crown, traffic_of
from suite.demo.stage import ADA, Stage
from suite.demo.traffic import Answer, Traffic
from suite.demo.train import joined, shifted
from suite.demo.watching import LEAST_ACCURACY, Labels, baseline

_CANARY = ((10, 3.0), (50, 2.0))
_FIELDS = ("summary", "intended_use", "architecture", "limitations", "ethical_considerations")


async def play(stage: Stage) -> str:
    await _answer(stage)
    await _compare(stage)
    await _approve(stage, 2)
    # From now on patients are measured by the new scanner.
    await baseline(stage, 2, shifted(stage.parts.training))
    async with await traffic_of(stage) as traffic:
        traffic.data = shifted(stage.parts.live)
        await _take_over(stage, traffic)
        await _right_again(stage, Labels(stage, traffic))
        stage.report.check("version 1 was the champion before", stage.names.version(1), await crown(stage, 2))
        await _spoil(stage)
        cause = await _roll_back(stage, traffic)
    return f"version 2 answers the retraining and took over by canary; version 3 was rolled back by itself: {cause}"


async def _answer(stage: Stage) -> None:
    """Ada takes the retraining and trains on what both scanners measured."""
    await stage.client.monitoring.StartRetraining(
        monitoring_rpc.StartRetrainingRequest(name=stage.retraining, run="suite.demo"), metadata=stage.by(ADA)
    )
    training = stage.parts.training
    data = joined(training, shifted(training))
    first = stage.names.version(1)
    await register(stage, 2, data, "biopsies of both scanners", strength=1.0, parent=first, answers=stage.retraining)
    answered = await stage.journal.first(monitoring.RetrainingAnswered, of=stage.retraining)
    version = answered.event.version if isinstance(answered.event, monitoring.RetrainingAnswered) else ""
    stage.report.check("what answered the retraining", stage.names.version(2), version)


async def _compare(stage: Stage) -> None:
    """Both versions measured on rows of both scanners."""
    for number in (1, 2):
        await measure(stage, number, "new-scanner", shifted(stage.parts.holdout))
    await measure(stage, 2, "holdout", stage.parts.holdout)
    names = [stage.names.version(number) for number in (1, 2)]
    compared = await stage.client.registry.CompareVersions(rpc.CompareVersionsRequest(names=names))
    stage.report.check("which is more accurate on the new scanner", [names[1]], _best(compared))


def _best(compared: CompareVersionsResponse) -> list[str]:
    path = "evaluations.new-scanner.metrics.accuracy"
    return [name for metric in compared.metrics if metric.path == path for name in metric.best]


async def _approve(stage: Stage, number: int) -> None:
    stage.note(f"documentation and reviews of version {number}")
    await describe(stage, number, *_FIELDS)
    for to_stage in ("testing", "staging", "production"):
        await move(stage, number, to_stage)


async def _take_over(stage: Stage, traffic: Traffic) -> None:
    """Version 2 gets a tenth of the live requests, then half, then all; nobody notices."""
    rollout = await request(stage, stage.names.clinic, 2, canary(*_CANARY))
    started = await stage.journal.first(deployment.StepStarted, of=rollout)
    place = len(traffic.answers)
    stage.note("a tenth of the live requests goes to version 2")
    await stage.journal.first(deployment.StepPassed, of=rollout, after=started.revision)
    tenth = traffic.since(place)
    await succeeded(stage, rollout, "version 2 takes over")
    share = _of(tenth)[stage.names.version(2)] / len(tenth)
    stage.report.check(
        "share of version 2 in the canary's first step", "0.02 to 0.25", round(share, 3), ok=0.02 <= share <= 0.25
    )
    place = len(traffic.answers)
    await traffic.more(30)
    after = sorted(_of(traffic.since(place)[-20:]))
    stage.report.check("who answers when the canary has been promoted", [stage.names.version(2)], after)
    statuses = sorted({answer.status for answer in traffic.answers})
    stage.report.check("statuses of all live requests while version 2 took over", [200], statuses)


async def _right_again(stage: Stage, labels: Labels) -> None:
    """What monitoring says of version 2 once labels have come for its live answers."""
    second = stage.names.version(2)
    judged = await labels.until(
        monitoring.WindowEvaluated,
        lambda event: event.window.version == second and event.window.track == TRACK_LABELS,
    )
    results = judged.event.results if isinstance(judged.event, monitoring.WindowEvaluated) else []
    accuracy = round(results[0].statistic, 3) if results else 0.0
    held = accuracy >= LEAST_ACCURACY
    stage.report.check("live answers of version 2 are right", f"at least {LEAST_ACCURACY}", accuracy, ok=held)


async def _spoil(stage: Stage) -> None:
    """Version 3 is measured on one batch, exported for batches of just that size, and nobody sees it."""
    training = stage.parts.training
    data = joined(training, shifted(training))
    await register(
        stage,
        3,
        data,
        "biopsies of both scanners",
        strength=3.0,
        batch_rows=len(stage.parts.holdout.labels),
        parent=stage.names.version(2),
    )
    await measure(stage, 3, "holdout", stage.parts.holdout)
    await _approve(stage, 3)


async def _roll_back(stage: Stage, traffic: Traffic) -> str:
    """Live requests find what the gates could not; who fails is only the canary. What was found."""
    place = len(traffic.answers)
    rollout = await request(stage, stage.names.clinic, 3, canary(*_CANARY))
    stage.note("a tenth of the live requests goes to version 3")
    end = await ending(stage, rollout)
    back = end.event
    found = type(back).__name__
    stage.report.check("how the rollout of version 3 ended", "RolledBack", found)
    if not isinstance(back, deployment.RolledBack):
        return found
    trigger = Trigger.Name(back.trigger)
    stage.report.check("what rolled version 3 back", Trigger.Name(TRIGGER_ANALYSIS), trigger)
    stage.report.check("what serves again", stage.names.version(2), back.restored_version)
    failed = [answer for answer in traffic.since(place) if answer.status != 200]
    stage.report.check("whose answers failed meanwhile", [stage.names.version(3)], sorted(_of(failed)))
    place = len(traffic.answers)
    await traffic.more(30)
    after = traffic.since(place)[-20:]
    stage.report.check("who answers after the rollback", [stage.names.version(2)], sorted(_of(after)))
    return back.cause


def _of(answers: Sequence[Answer]) -> Counter[str]:
    """Answers by version."""
    return Counter(answer.version for answer in answers)
