"""Step 4: a monitor compares live requests with the training data; then the clinic gets another scanner."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from modelog.monitoring.v1 import events_pb2 as facts
from modelog.monitoring.v1 import monitoring_service_pb2 as rpc
from modelog.monitoring.v1.telemetry_pb2 import TelemetryColumn
from modelog.monitoring.v1.types_pb2 import (
    ACTION_RETRAIN,
    METHOD_ACCURACY,
    METHOD_ERROR_RATE,
    METHOD_KOLMOGOROV_SMIRNOV,
    METHOD_MISSING_SHARE,
    METHOD_PSI,
    OUTCOME_OK,
    SEVERITY_CRITICAL,
    TRACK_LABELS,
    TRACK_PREDICTIONS,
    Check,
    WindowSpec,
)
from modelog.sdk import Entry
from suite.demo.serving import traffic_of
from suite.demo.stage import OTTO, Stage
from suite.demo.traffic import Traffic
from suite.demo.train import Data, run, shifted

_WINDOW_ROWS = 150
LEAST_ACCURACY = 0.92
CHECKS = (
    # Measured: the worst column of 150 unshifted rows has 0.17, the seventh worst of shifted ones 0.9.
    Check(
        id="drift",
        method=METHOD_PSI,
        bins=5,
        threshold=0.5,
        failing_columns=3,
        severity=SEVERITY_CRITICAL,
        actions=[ACTION_RETRAIN],
    ),
    Check(id="distance", method=METHOD_KOLMOGOROV_SMIRNOV, threshold=0.35, significance=0.001, failing_columns=3),
    Check(id="missing", method=METHOD_MISSING_SHARE, threshold=0.01),
    Check(id="errors", method=METHOD_ERROR_RATE, threshold=0.05),
    Check(id="accuracy", method=METHOD_ACCURACY, threshold=LEAST_ACCURACY, severity=SEVERITY_CRITICAL),
)


async def play(stage: Stage) -> str:
    await _watch(stage)
    async with await traffic_of(stage) as traffic:
        labels = Labels(stage, traffic)
        quiet = await _quiet_windows(stage, traffic, labels)
        _check_quiet(stage, quiet)
        stage.note("the clinic gets another scanner")
        traffic.data = shifted(stage.parts.live)
        drift = await stage.journal.first(facts.AlertRaised, where=lambda event: event.check == "drift")
        asked = await stage.journal.first(facts.RetrainingRequested, after=drift.revision)
        lost = await labels.until(facts.AlertRaised, lambda event: event.check == "accuracy")
    stage.retraining = asked.fact.resource if asked.fact else ""
    stage.report.check("the retraining rests on the alert", drift.fact.resource if drift.fact else "", _alert(asked))
    await _recompute(stage)
    alert, worse = drift.event, lost.event
    assert isinstance(alert, facts.AlertRaised)
    assert isinstance(worse, facts.AlertRaised)
    return (
        f"{len(alert.columns)} columns drifted ({alert.columns[0].column}: PSI {alert.statistic:.2f}), "
        f"accuracy fell to {worse.statistic:.2f}, and a retraining was requested"
    )


async def _watch(stage: Stage) -> None:
    """A monitor of the clinic's endpoint, with the training data as what is normal."""
    names = stage.names
    await stage.client.monitoring.CreateMonitor(
        rpc.CreateMonitorRequest(
            parent=names.project,
            monitor_id=names.monitor.rpartition("/")[2],
            endpoint=names.clinic,
            window=WindowSpec(size_rows=_WINDOW_ROWS),
            checks=CHECKS,
            prediction_column="label",
            description="Do patients still look like those the model learned from, and is it still right?",
        ),
        metadata=stage.by(OTTO),
    )
    await baseline(stage, 1, stage.parts.training)


async def baseline(stage: Stage, number: int, data: Data) -> None:
    """What is normal: rows a version was trained on, with what it answers to them."""
    labels, _ = run(stage.models[number], data.rows)
    values = rpc.BaselineValues(
        inputs=_columns(data), outputs=[TelemetryColumn(name="label", numbers=labels.astype(float).tolist())]
    )
    request = rpc.CaptureBaselineRequest(
        name=stage.names.monitor, values=values, description=f"training data of {stage.names.version(number)}"
    )
    await stage.client.monitoring.CaptureBaseline(request, metadata=stage.by(OTTO))


def _columns(data: Data) -> Sequence[TelemetryColumn]:
    return [
        TelemetryColumn(name=name, numbers=data.rows[:, index].astype(float).tolist())
        for index, name in enumerate(data.columns)
    ]


class Labels:
    """What turns out to be true is told later, some answers at a time."""

    def __init__(self, stage: Stage, traffic: Traffic) -> None:
        self._stage = stage
        self._traffic = traffic
        self._told = 0

    async def tell(self) -> None:
        """Tells the truth about every answer so far that was not told yet."""
        answers = self._traffic.since(self._told)
        self._told += len(answers)
        known = [answer for answer in answers if answer.status == 200]
        if known:
            request = rpc.RecordOutcomesRequest(
                endpoint=self._stage.names.clinic,
                prediction_ids=[answer.prediction for answer in known],
                labels=TelemetryColumn(name="label", numbers=[float(answer.truth) for answer in known]),
            )
            await self._stage.client.monitoring.RecordOutcomes(request, metadata=self._stage.by(OTTO))

    async def until(self, kind: type[Message], where: Callable[[Any], bool]) -> Entry:
        """Goes on telling, while requests come in, until such a fact is there."""
        waiting = asyncio.create_task(self._stage.journal.first(kind, where=where))
        try:
            while not waiting.done():
                await self._traffic.more(50)
                await self.tell()
            return await waiting
        finally:
            waiting.cancel()


async def _quiet_windows(stage: Stage, traffic: Traffic, labels: Labels) -> list[Entry]:
    """One window of each track, filled with requests as they are normal, with their labels."""
    stage.note("filling windows with normal requests")
    await traffic.more(_WINDOW_ROWS + 20)
    await labels.tell()
    return [
        await stage.journal.first(
            facts.WindowEvaluated,
            of=stage.names.monitor,
            # The first window may have been opened before there was anything to compare with.
            where=lambda event, track=track: event.window.track == track and event.window.baseline_digest,  # type: ignore[misc]
        )
        for track in (TRACK_PREDICTIONS, TRACK_LABELS)
    ]


def _check_quiet(stage: Stage, windows: Sequence[Entry]) -> None:
    outcomes = {
        result.check.id: result.outcome == OUTCOME_OK
        for entry in windows
        if isinstance(entry.event, facts.WindowEvaluated)
        for result in entry.event.results
    }
    stage.report.check("checks that pass on normal requests", sorted(check.id for check in CHECKS), _passed(outcomes))


def _passed(outcomes: dict[str, bool]) -> list[str]:
    return sorted(check for check, passed in outcomes.items() if passed)


def _alert(entry: Entry) -> str:
    return entry.event.alert if isinstance(entry.event, facts.RetrainingRequested) else ""


async def _recompute(stage: Stage) -> None:
    """Every window so far, computed again from the profiles whose digests its fact holds."""
    windows = len(stage.journal.every(facts.WindowEvaluated, of=stage.names.monitor))
    same = 0
    for number in range(1, windows + 1):
        request = rpc.ReevaluateWindowRequest(name=stage.names.monitor, window=number)
        same += (await stage.client.monitoring.ReevaluateWindow(request)).same
    stage.report.check("windows whose results are the same when computed again", windows, same)
