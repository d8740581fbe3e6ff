"""Carrying a plan out: one call after another, each only if nothing has changed since it was planned."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from modelog.declare.planning import Call, Plan, Planned, refused
from modelog.declare.problems import Problems
from modelog.declare.steps import Step


class Changed(Exception):
    """A resource is no longer what it was when the plan was made: plan again. `written`: what was done before."""

    def __init__(self, name: str, written: Sequence["Written"]) -> None:
        super().__init__(f"{name} has changed since the plan was made")
        self.name = name
        self.written = list(written)


@dataclass(frozen=True)
class Written:
    """One fact that applying led to."""

    name: str
    method: str
    revision: int


def apply_plan(
    plan: Plan, call: Call, *, reason: str, tell: Callable[[Written], None] = lambda _: None
) -> list[Written]:
    """Writes what the plan says and returns the facts, in order; `tell` hears of each at once.

    Changed when a resource has been written to by others meanwhile, Problems where a service refuses what a file says,
    and what the client raises besides. Whatever was written before stays: planning again goes on from there.
    """
    written: list[Written] = []
    for planned in plan.changed:
        for one in _written(planned, call, reason, written):
            written.append(one)
            tell(one)
    return written


def _written(planned: Planned, call: Call, reason: str, before: Sequence[Written]) -> Iterator[Written]:
    """The steps of one resource. Each makes one fact, so the etag of the next is known without reading again; one that
    turns out to be so already makes none, and answers with a fact that is known."""
    from modelog.sdk.errors import AlreadyExists, Conflict, Invalid

    waiting, generation = list(planned.steps), planned.present.generation
    newest = planned.present.revision
    while waiting:
        step = waiting.pop(0)
        try:
            reply = call(step.method, _request(step, generation, reason))
        except (Conflict, AlreadyExists) as error:
            if isinstance(error, AlreadyExists) and error.reason == "REQUEST_ID_REUSED":
                raise
            raise Changed(planned.document.name, before) from error
        except Invalid as error:
            if not error.violations:
                raise
            raise Problems(refused(planned.document, step, error)) from error
        except Exception as error:
            if not _policy_first(step, waiting, error):
                raise
            waiting.insert(1, step)
            continue
        if reply.revision <= newest:
            continue
        generation, newest = generation + 1, reply.revision
        yield Written(planned.document.name, step.method, reply.revision)


def _policy_first(step: Step, waiting: Sequence[Step], error: Exception) -> bool:
    """Whether a lifecycle has to wait for the policy behind it, which no longer speaks of a stage that goes."""
    return getattr(error, "reason", "") == "POLICY_NAMES_STAGE" and [one.name for one in waiting[:1]] == ["SetPolicy"]


def _request(step: Step, generation: int, reason: str) -> Any:
    request = type(step.request)()
    request.CopyFrom(step.request)
    request.reason = reason
    if generation and "etag" in request.DESCRIPTOR.fields_by_name:
        request.etag = str(generation)
    return request
