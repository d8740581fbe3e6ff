"""What deployment knows of registered versions, and whether one may be deployed."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from google.protobuf.message import Message

from access.people import makers_of, people
from kernel.errors import NotAllowedNow, NotFound
from modelog.access.v1.types_pb2 import KnownProject
from modelog.deployment.v1.types_pb2 import Environment, KnownVersion
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from modelog.registry.v1.types_pb2 import PHASE_ARCHIVED, PHASE_RETIRED, Phase

SERVED_FORMATS = ("onnx",)

HEARD = (
    registry.VersionRegistered,
    registry.StageChanged,
    registry.VersionDeprecated,
    registry.VersionRetired,
    registry.VersionArchived,
    VersionRestored,
)


class Deployers(NamedTuple):
    """Who deploys, then for whom, and the projects that know who owns their accounts."""

    actors: Sequence[str]
    projects: Sequence[KnownProject] = ()

    def people(self, principals: Iterable[str]) -> frozenset[str]:
        return people(principals, *self.projects)


class Rule(NamedTuple):
    """One thing that a rollout has to meet; `check` raises a Refusal when it does not."""

    name: str
    check: Callable[[], None]


def evolve_known_version(version: KnownVersion, event: Message, envelope: Fact) -> None:
    match event:
        case registry.VersionRegistered():
            version.stage, version.phase = event.stage, event.phase
            version.artifact.CopyFrom(event.artifact)
            version.signature.CopyFrom(event.signature)
            version.makers.extend(makers_of(event, envelope))
        case registry.StageChanged():
            version.stage, version.phase = event.to_stage, event.to_phase
            version.approved_sha256 = event.artifact_sha256
            version.approvers[:] = event.approvers
            version.approving_people[:] = event.approving_people
            version.retired = event.to_phase in (PHASE_RETIRED, PHASE_ARCHIVED)
        case registry.VersionDeprecated():
            version.deprecated, version.successor = True, event.successor
        case registry.VersionRetired():
            version.retired, version.phase = True, PHASE_RETIRED
            version.stage = event.to_stage
        case registry.VersionArchived():
            version.phase, version.stage = PHASE_ARCHIVED, event.to_stage
        case VersionRestored():
            _fold_restored(version, event)


def _fold_restored(version: KnownVersion, event: VersionRestored) -> None:
    """It starts anew: what was approved of its former life no longer is."""
    version.retired, version.phase, version.stage = False, event.to_phase, event.to_stage
    version.deprecated, version.successor, version.approved_sha256 = False, "", ""
    del version.approvers[:]
    del version.approving_people[:]


def check_deployable(
    version: KnownVersion, environment: Environment, who: Deployers, *, restoring: bool = False
) -> None:
    """Refuses a version that may not be deployed in an environment now. restoring: it served there before."""
    for rule in deployable(version, environment, who, restoring=restoring):
        rule.check()


def deployable(
    version: KnownVersion, environment: Environment, who: Deployers, *, restoring: bool = False
) -> list[Rule]:
    """What is asked of the version itself, in this order."""
    return [
        Rule("version", partial(_check_alive, version, restoring=restoring)),
        Rule("environment", partial(_check_there, environment)),
        Rule("phase", partial(_check_phase, version, environment)),
        Rule("format", partial(_check_format, version)),
        Rule("approval", partial(_check_approved, version, environment)),
        Rule("separation", partial(_check_not_approver, version, environment, who)),
    ]


def check_admitted(version: KnownVersion, environment: Environment) -> None:
    """Refuses a version whose phase, artifact or approvals the environment does not admit now."""
    _check_there(environment)
    _check_phase(version, environment)
    _check_approved(version, environment)


def _check_there(environment: Environment) -> None:
    if not environment.name:
        raise NotFound("ENVIRONMENT_NOT_FOUND", "there is no such environment; define it first")
    if environment.removed:
        raise NotAllowedNow("ENVIRONMENT_REMOVED", f"{environment.name} was removed; use another environment")


def _check_phase(version: KnownVersion, environment: Environment) -> None:
    if version.phase not in environment.admitted_phases:
        admitted = ", ".join(Phase.Name(phase) for phase in environment.admitted_phases)
        raise NotAllowedNow(
            "PHASE_NOT_ADMITTED",
            f"{version.name} is in {version.stage} ({Phase.Name(version.phase)}); {environment.name} admits {admitted}",
        )


def _check_format(version: KnownVersion) -> None:
    if version.artifact.format.lower() not in SERVED_FORMATS:
        raise NotAllowedNow(
            "FORMAT_NOT_SERVED",
            f"the artifact is {version.artifact.format!r}; only {', '.join(SERVED_FORMATS)} is served: export it",
        )


def _check_alive(version: KnownVersion, *, restoring: bool) -> None:
    if not version.artifact.sha256:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")
    if version.retired:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} is retired and is never served again")
    if version.deprecated and not restoring:
        instead = f"; use {version.successor}" if version.successor else ""
        raise NotAllowedNow("VERSION_DEPRECATED", f"{version.name} is deprecated{instead}")


def _check_approved(version: KnownVersion, environment: Environment) -> None:
    if version.approved_sha256 and version.approved_sha256 != version.artifact.sha256:
        raise NotAllowedNow(
            "ARTIFACT_NOT_APPROVED",
            f"{version.approved_sha256} was approved, but the artifact is {version.artifact.sha256}",
        )
    if len(version.approvers) < environment.approvals_needed:
        raise NotAllowedNow(
            "APPROVALS_MISSING",
            f"{environment.name} needs {environment.approvals_needed} approvals of the version's stage, "
            f"but it has {len(version.approvers)}",
        )


def _check_not_approver(version: KnownVersion, environment: Environment, who: Deployers) -> None:
    """People are compared, as the move recorded them and as accounts are owned now."""
    if not environment.protected:
        return
    approving = {*version.approving_people, *who.people(version.approvers)}
    both = next((one for one in who.actors if not approving.isdisjoint(who.people([one]))), "")
    if both:
        raise NotAllowedNow(
            "APPROVER_MAY_NOT_DEPLOY",
            f"{both}, or who owns it, approved {version.name}; somebody else has to deploy it in {environment.name}",
            metadata={"principal": both},
        )
