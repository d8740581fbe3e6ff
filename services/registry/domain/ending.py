"""The end of a version's life, and the way back from it."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message

from kernel.errors import Denied, NotAllowedNow, NotFound
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import governance_events_pb2 as facts
from modelog.registry.v1.types_pb2 import Model, Project, Version
from services.registry.domain.access import NOWHERE, Access
from services.registry.domain.lifecycle import LAST_PHASES


def check_unheld(version: Version, holds: Sequence[str]) -> None:
    """`holds`: names of active legal holds that cover the version."""
    if holds:
        raise NotAllowedNow(
            "VERSION_HELD",
            f"{version.name} is under {', '.join(holds)}; it stays as it is until the hold is released",
            metadata={"holds": " ".join(holds)},
        )


def restore_version(
    version: Version,
    model: Model,
    project: Project,
    everywhere: Project = NOWHERE,
    *,
    actors: Sequence[str],
    now: datetime,
) -> facts.VersionRestored:
    """Back to the first stage, wherever it was before: it has to pass every gate again, under the policy of today.

    Not by its makers: who brings back what was put away is somebody else.
    """
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")
    if version.phase not in LAST_PHASES:
        raise NotAllowedNow("VERSION_NOT_RETIRED", f"{version.name} is in {version.stage}; it needs no restoring")
    if model.retired:
        raise NotAllowedNow("MODEL_RETIRED", f"{model.name} is retired and takes no version back")
    access = Access(project, everywhere, now)
    makers = access.people(version.makers)
    involved = next((one for one in actors if not access.people([one]).isdisjoint(makers)), "")
    if involved:
        raise Denied(
            "SEPARATION_OF_DUTIES",
            f"{involved}, or who owns it, made {version.name}; somebody else has to restore it",
            metadata={"principal": involved},
        )
    first = project.lifecycle.stages[0]
    return facts.VersionRestored(
        from_stage=version.stage,
        from_phase=version.phase,
        to_stage=first.id,
        to_phase=first.phase,
        record=version.record,
    )


def evolve_ending(version: Version, event: Message, envelope: Fact) -> bool:
    """Folds the event of this module; False for any other. The record of the former life stays named; that it should no
    longer be chosen was said of that life."""
    match event:
        case facts.VersionRestored():
            version.stage, version.phase = event.to_stage, event.to_phase
            version.ClearField("deprecation")
        case _:
            return False
    return True


def deprecated(version: Version, past: datetime | None = None) -> bool:
    """Whether it should no longer be chosen; with `past`, whether it should be retired by then and is not."""
    if not version.HasField("deprecation"):
        return False
    if past is None:
        return True
    sunset = version.deprecation
    over = sunset.HasField("sunset_time") and sunset.sunset_time.ToDatetime(past.tzinfo) <= past
    return over and version.phase not in LAST_PHASES
