"""What both doors of a replica have in common: a request that was read becomes arrays, is counted and is published.

The doors differ in how they read requests and write answers; what may be asked, how long, and what it is called when it
fails is the same for both, and decided here.
"""

import asyncio
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from services.deployment.inference.counts import Tally
from services.deployment.inference.model import BadInput, Model, flat
from services.deployment.inference.order import Order
from services.deployment.inference.telemetry import Telemetry
from services.deployment.inference.turns import Turns

MOST_BODY_BYTES = 16 * 1024 * 1024
MOST_ID_CHARACTERS = 128
_MOST_WAITING = 64
# As long as the gateway waits.
_LONGEST_SECONDS = 30.0


class NotAnswered(Exception):
    """A request that gets no answer. status: of HTTP."""

    status: ClassVar[int] = 500


class Busy(NotAnswered):
    """Too many requests wait."""

    status = 503


class TooLate(NotAnswered):
    """The model did not come to it in the time that the caller gives."""

    status = 504


class ModelFailed(NotAnswered):
    """The model raised."""


@dataclass(frozen=True)
class Asked:
    """One request as read: tensors by name; outputs wanted, none for all. seconds: how long the caller waits; 0 is not
    said. shadow: nobody gets the answer."""

    tensors: Mapping[str, Any]
    id: str = ""
    outputs: Sequence[str] = field(default=())
    seconds: float = 0.0
    shadow: bool = False


class Output(NamedTuple):
    """One tensor of an answer. kind: ONNX Runtime's name of its elements."""

    name: str
    kind: str
    array: Any


class Answers:
    """Answers requests with the model, one turn after the other.

    ready: whether it would answer now; whoever drains the replica makes it false.
    """

    def __init__(self, order: Order, model: Model, telemetry: Telemetry | None) -> None:
        self.order = order
        self.model = model
        self.telemetry = telemetry
        self.tally = Tally()
        self.ready = True
        self.turns = Turns(
            model.run,
            most_rows=0 if model.alone else order.batch_rows,
            delay_seconds=order.batch_delay_ms / 1000,
            ran=self.tally.ran,
        )
        self.under_way = 0
        if telemetry:
            telemetry.service.busy_seconds = lambda: self.turns.busy_seconds

    async def infer(self, asked: Asked) -> tuple[str, list[Output]]:
        """The id and the outputs. BadInput is the caller's fault, NotAnswered ours."""
        if self.under_way >= _MOST_WAITING:
            self._failed(asked)
            raise Busy("too many requests wait for the model")
        self.under_way += 1
        began = time.perf_counter()
        try:
            answer = await self._infer(asked)
            if self.telemetry and not asked.shadow:
                self.telemetry.service.took(time.perf_counter() - began)
            return answer
        except NotAnswered:
            self._failed(asked)
            raise
        finally:
            self.under_way -= 1

    async def _infer(self, asked: Asked) -> tuple[str, list[Output]]:
        model = self.model
        if len(asked.id) > MOST_ID_CHARACTERS:
            raise BadInput(f"id is a string of at most {MOST_ID_CHARACTERS} characters")
        if unknown := set(asked.outputs) - set(model.output_names):
            raise BadInput(f"outputs unknown: {sorted(unknown)}; the model answers {model.output_names}")
        feed, inputs = model.feed(asked.tensors)
        rows = inputs[0][1].shape[0]
        seconds = min(asked.seconds or _LONGEST_SECONDS, _LONGEST_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                arrays = await self.turns.run(feed, rows)
        except TimeoutError as error:
            raise TooLate(f"no answer within {seconds:g} s") from error
        except Exception as error:  # Whatever it raises, the caller is told, and the failure is counted.
            raise ModelFailed(f"the model failed: {str(error)[:500]}") from error
        request_id = asked.id or uuid.uuid4().hex
        if self.telemetry:
            self._publish(request_id, rows, inputs, arrays, shadow=asked.shadow)
        return request_id, [
            Output(name, kind, array)
            for (name, kind, _), array in zip(model.tensor_outputs, arrays, strict=True)
            if not asked.outputs or name in asked.outputs
        ]

    def _publish(
        self, request_id: str, rows: int, inputs: Sequence[Any], arrays: Sequence[Any], *, shadow: bool
    ) -> None:
        assert self.telemetry
        if not is_sampled(request_id, self.order.telemetry_percent):
            self.telemetry.left_out(rows, shadow=shadow)
            return
        ids = [f"{request_id}-{row}" for row in range(rows)]
        outputs = flat(zip(self.model.output_names, arrays, strict=True), rows)
        self.telemetry.answered(ids, inputs, outputs, shadow=shadow)

    def _failed(self, asked: Asked) -> None:
        if self.telemetry:
            self.telemetry.failed(shadow=asked.shadow)

    def count(self, door: str, status: int, began: float) -> None:
        """Counts one inference. began: by time.perf_counter."""
        self.tally.answered(status, (time.perf_counter() - began) * 1000, door)


def is_sampled(request_id: str, percent: float) -> bool:
    """Whether telemetry takes this request. The id decides, so the answers of two versions to it are both taken."""
    return percent >= 100 or zlib.crc32(request_id.encode()) % 10_000 < percent * 100
