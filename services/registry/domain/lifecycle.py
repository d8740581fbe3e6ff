"""Stages of a version's life: the built-in lifecycle, and what makes a lifecycle a sound one."""

from kernel.errors import NotAllowedNow, invalid_field
from modelog.registry.v1.types_pb2 import (
    PHASE_ARCHIVED,
    PHASE_DEVELOPMENT,
    PHASE_PRODUCTION,
    PHASE_RETIRED,
    PHASE_STAGING,
    PHASE_TESTING,
    Lifecycle,
    Phase,
    Stage,
)

LAST_PHASES = (PHASE_RETIRED, PHASE_ARCHIVED)

# Forward one step at a time, back to development from testing and staging. Retiring needs no entry: RetireVersion is
# allowed from anywhere, and archiving follows retiring.
BUILT_IN = Lifecycle(
    stages=[
        Stage(id="development", phase=PHASE_DEVELOPMENT, next=["testing"]),
        Stage(id="testing", phase=PHASE_TESTING, next=["staging", "development"]),
        Stage(id="staging", phase=PHASE_STAGING, next=["production", "development"]),
        Stage(id="production", phase=PHASE_PRODUCTION),
        Stage(id="retired", phase=PHASE_RETIRED),
        Stage(id="archived", phase=PHASE_ARCHIVED),
    ]
)


def stage_in(lifecycle: Lifecycle, stage_id: str) -> Stage | None:
    return next((stage for stage in lifecycle.stages if stage.id == stage_id), None)


def stage_of_phase(lifecycle: Lifecycle, phase: Phase) -> Stage:
    """The stage of a phase that every sound lifecycle has exactly once: RETIRED or ARCHIVED."""
    return next(stage for stage in lifecycle.stages if stage.phase == phase)


def leads(lifecycle: Lifecycle, from_stage: str, to_stage: str) -> bool:
    stage = stage_in(lifecycle, from_stage)
    return stage is not None and to_stage in stage.next


def step(lifecycle: Lifecycle, from_stage: str, to_stage: str) -> Stage:
    """The stage that ChangeStage would move to; NotAllowedNow when the lifecycle does not lead there."""
    target = stage_in(lifecycle, to_stage)
    if target is None:
        known = ", ".join(stage.id for stage in lifecycle.stages)
        raise invalid_field(
            "to_stage", f"{to_stage!r} is no stage of the project's lifecycle: {known}", "UNKNOWN_STAGE"
        )
    if target.phase in LAST_PHASES:
        raise NotAllowedNow("RETIRE_INSTEAD", f"{to_stage} is not reached by moving; retire the version instead")
    if not leads(lifecycle, from_stage, to_stage):
        origin = stage_in(lifecycle, from_stage)
        ways = ", ".join(origin.next) if origin and origin.next else "no other stage"
        raise NotAllowedNow(
            "TRANSITION_NOT_IN_LIFECYCLE",
            f"{from_stage} does not lead to {to_stage}; it leads to {ways}",
            metadata={"from_stage": from_stage, "to_stage": to_stage},
        )
    return target


def check_lifecycle(lifecycle: Lifecycle) -> None:
    """Invalid, naming the stage, unless every version can live by this lifecycle from its first stage to its end."""
    ids = [stage.id for stage in lifecycle.stages]
    for index, stage in enumerate(lifecycle.stages):
        field = f"lifecycle.stages[{index}]"
        if stage.id in ids[:index]:
            raise invalid_field(f"{field}.id", f"{stage.id!r} is there twice", "DUPLICATE_STAGE")
        for position, following in enumerate(stage.next):
            _check_move(lifecycle, stage, following, f"{field}.next[{position}]")
    for phase in LAST_PHASES:
        count = sum(stage.phase == phase for stage in lifecycle.stages)
        if count != 1:
            name = Phase.Name(phase).removeprefix("PHASE_")
            raise invalid_field("lifecycle.stages", f"{count} stages have the phase {name}; one must", "LAST_STAGES")
    if lifecycle.stages[0].phase in LAST_PHASES:
        raise invalid_field("lifecycle.stages[0].phase", "a version cannot start at its end", "FIRST_STAGE")


def _check_move(lifecycle: Lifecycle, stage: Stage, following: str, field: str) -> None:
    target = stage_in(lifecycle, following)
    if target is None:
        raise invalid_field(field, f"{following!r} is no stage of this lifecycle", "UNKNOWN_STAGE")
    if target.id == stage.id:
        raise invalid_field(field, "a stage does not lead to itself", "SELF_MOVE")
    if target.phase in LAST_PHASES:
        raise invalid_field(field, "retiring is allowed from anywhere and is not listed", "RETIRING_LISTED")
    if stage.phase in LAST_PHASES:
        raise invalid_field(field, "nothing leads back from the end of life", "MOVE_FROM_THE_END")
