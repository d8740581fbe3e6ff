"""Listens to the telemetry of mirrored requests, and compares what both versions answered.

Nothing of it is kept: a service that starts anew compares anew, as a window of analysis begins anew.
"""

import asyncio
import time
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from kernel.follow import Follower
from kernel.logs import structlog
from kernel.rooms import Rooms
from kernel.streams import stream_state
from modelog.deployment.v1.strategies_pb2 import ShadowComparison
from modelog.deployment.v1.types_pb2 import Rollout
from modelog.monitoring.v1.telemetry_pb2 import PredictionBatch
from services.deployment.domain.analysis import Window, quantile
from services.deployment.domain.answers import Answers
from services.deployment.domain.states import PROGRESSING
from services.deployment.domain.targets import mirrored

_log = structlog.get_logger()
_STREAM = "TELEMETRY"
_PULL = 32  # Messages; each may hold a megabyte.
_AGAIN_SECONDS = 1.0
_LATENCY_QUANTILE = 0.99


@dataclass
class _Listening:
    """One window of one shadow."""

    window: int
    answers: Answers
    task: asyncio.Task[None]


class Shadows:
    """The comparisons of the shadows under way, by rollout."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._listening: dict[str, _Listening] = {}

    async def of(self, rollout: Rollout, window: Window | None) -> ShadowComparison | None:
        """What the present window has shown so far; None while nothing is mirrored and watched.

        window: what the gateway counted for the mirrored version and for the one that serves.
        """
        if rollout.state != PROGRESSING or not mirrored(rollout) or window is None:
            await self._end(rollout.name)
            return None
        began = rollout.window_start_time.ToMicroseconds()
        known = self._listening.get(rollout.name)
        if known is None or known.window != began:
            await self._end(rollout.name)
            known = self._begin(rollout, began)
        known.answers.give_up(time.monotonic())
        comparison = known.answers.comparison()
        comparison.only_serving = window.errors
        comparison.shadow_latency_ms = quantile(window.latency, _LATENCY_QUANTILE)
        comparison.serving_latency_ms = quantile(window.running.latency, _LATENCY_QUANTILE) if window.running else 0.0
        comparison.window_start_time.CopyFrom(rollout.window_start_time)
        comparison.window.FromMilliseconds(int(window.seconds * 1000))
        return comparison

    async def forget(self, but: set[str]) -> None:
        """Stops listening for rollouts that are not the newest of their endpoint any more."""
        for name in self._listening.keys() - but:
            await self._end(name)

    async def close(self) -> None:
        await self.forget(set())

    def _begin(self, rollout: Rollout, began: int) -> _Listening:
        answers = Answers(rollout.version, rollout.strategy.shadow.tolerance)
        _, project, _, endpoint, *_ = rollout.name.split("/")
        subject = f"telemetry.predictions.{project}.{endpoint}"
        task = asyncio.create_task(self._listen(subject, answers), name=f"shadow {rollout.name}")
        listening = self._listening[rollout.name] = _Listening(began, answers, task)
        return listening

    async def _end(self, name: str) -> None:
        if (known := self._listening.pop(name, None)) is not None:
            known.task.cancel()
            await asyncio.wait([known.task])

    async def _listen(self, subject: str, answers: Answers) -> None:
        """For ever; what went by while the stream could not be read is compared with nothing."""
        while True:
            try:
                await self._follow(subject, answers)
            except Exception as error:  # Whatever it is, the rollout goes on and says that nothing was compared.
                _log.warning("shadow_not_heard", subject=subject, error=repr(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self, subject: str, answers: Answers) -> None:
        prefix = self._rooms.settings.nats_api_prefix
        state = await stream_state(self._rooms.nats, _STREAM, api_prefix=prefix)
        follower = Follower(
            self._rooms.nats,
            stream=_STREAM,
            after=int(state["last_seq"]),
            api_prefix=prefix,
            filter_subject=subject,
            max_batch=_PULL,
            pull=_PULL,
        )
        async with follower:
            while True:
                for entry in await follower.batch():
                    try:
                        batch = PredictionBatch.FromString(entry.payload)
                    except DecodeError:
                        continue
                    answers.take(batch, time.monotonic())
