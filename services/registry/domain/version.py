"""Versions: one trained artifact, what is known about it, and the end of its life."""

from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from access.people import makers_of, owners_of
from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact, invalid_field
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import (
    PHASE_ARCHIVED,
    PHASE_RETIRED,
    Column,
    Deprecation,
    Documentation,
    Evaluation,
    Model,
    Project,
    Version,
)
from services.registry.domain import checklists, ending, findings, requests, tags
from services.registry.domain.artifacts import check_artifact, copied, marks_of
from services.registry.domain.lifecycle import LAST_PHASES, stage_of_phase
from services.registry.domain.masks import paths, write
from services.registry.domain.measured import check_evaluation
from services.registry.domain.model import present as model_present
from services.registry.domain.project import present as project_present
from services.registry.domain.provenance import evolve_provenance

_MOST_EVALUATIONS = 32
# Of all evaluations together: each later fact of the version keeps a whole state of it.
_MOST_MEASURED_BYTES = 1024 * 1024


def present(version: Version) -> None:
    """NotFound for a version that does not exist."""
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")


def living(version: Version) -> None:
    """NotFound, or NotAllowedNow for a version at the end of its life: what is sealed does not change."""
    present(version)
    if version.phase in LAST_PHASES:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} is retired and does not change any more")


def register_version(
    version: Version,
    model: Model,
    project: Project,
    everywhere: Project,
    parent: Version | None = None,
    *,
    given: facts.VersionRegistered,
    actors: Sequence[str],
) -> facts.VersionRegistered:
    """`given` says everything but where the version starts and who owns the accounts that had a part in it.

    `parent` is the state of given.parent_version, if named. `actors`: who registers it, then for whom.
    """
    model_present(model)
    project_present(project)
    if version.name:
        raise AlreadyExists("VERSION_EXISTS", f"{version.name} exists already")
    if model.retired:
        raise NotAllowedNow("MODEL_RETIRED", f"{model.name} is retired and takes no further versions")
    if parent is not None and not parent.name:
        raise NotFound("VERSION_NOT_FOUND", f"there is no {given.parent_version} to derive from")
    _check_unique(given.signature.inputs, "signature.inputs")
    _check_unique(given.signature.outputs, "signature.outputs")
    check_artifact(given.artifact, project.policy)
    event = facts.VersionRegistered()
    event.CopyFrom(given)
    event.marks.extend(marks_of(given.source, project.policy))
    event.stage, event.phase = project.lifecycle.stages[0].id, project.lifecycle.stages[0].phase
    event.owners.extend(owners_of([given.author, *actors], project, everywhere))
    return event


def copy_version(
    version: Version,
    model: Model,
    project: Project,
    everywhere: Project,
    source: Version,
    *,
    named: str,
    actors: Sequence[str],
) -> facts.VersionRegistered:
    """`source` is the state of the version called `named`. The copy has to meet the policy of where it comes to."""
    return register_version(version, model, project, everywhere, given=copied(source, named), actors=actors)


def _check_unique(columns: Sequence[Column], field: str) -> None:
    seen: set[str] = set()
    for index, column in enumerate(columns):
        if column.name in seen:
            raise invalid_field(f"{field}[{index}].name", f"{column.name!r} is there twice", "DUPLICATE_COLUMN")
        seen.add(column.name)


def describe_version(
    version: Version, *, documentation: Documentation, mask: FieldMask
) -> facts.VersionDescribed | None:
    living(version)
    known = version.documentation
    changed = [name for name in paths(mask, Documentation) if getattr(documentation, name) != getattr(known, name)]
    if not changed:
        return None
    event = facts.VersionDescribed(update_mask=FieldMask(paths=changed))
    write(event.documentation, documentation, changed)
    return event


def record_evaluation(
    version: Version, *, evaluation_id: str, evaluation: Evaluation
) -> facts.EvaluationRecorded | None:
    """Who measured and when is the fact's own business, so what `evaluation` says about it is dropped."""
    living(version)
    measured = _measured(evaluation)
    if evaluation_id in version.evaluations:
        if measured == _measured(version.evaluations[evaluation_id]):
            return None
    elif len(version.evaluations) >= _MOST_EVALUATIONS:
        raise NotAllowedNow("TOO_MANY_EVALUATIONS", f"{version.name} has {_MOST_EVALUATIONS}; reuse an id")
    check_evaluation(measured)
    known = sum(one.ByteSize() for name, one in version.evaluations.items() if name != evaluation_id)
    if known + measured.ByteSize() > _MOST_MEASURED_BYTES:
        raise NotAllowedNow(
            "EVALUATIONS_TOO_LARGE",
            f"{version.name} would have more than {_MOST_MEASURED_BYTES} bytes of evaluations; record fewer slices",
        )
    return facts.EvaluationRecorded(evaluation_id=evaluation_id, evaluation=measured)


def _measured(evaluation: Evaluation) -> Evaluation:
    plain = Evaluation()
    plain.CopyFrom(evaluation)
    plain.ClearField("record_time")
    plain.ClearField("recorded_by")
    return plain


def set_version_tag(version: Version, *, key: str, value: str) -> facts.TagSet | None:
    present(version)
    return tags.set_tag(version, key=key, value=value)


def remove_version_tag(version: Version, *, key: str) -> facts.TagRemoved | None:
    present(version)
    return tags.remove_tag(version, key=key)


def deprecate_version(
    version: Version, successor: Version | None = None, *, named: str, message: str, sunset: Timestamp | None
) -> facts.VersionDeprecated | None:
    """`successor` is the state of the version called `named`; both are absent when there is nothing to use instead."""
    living(version)
    if named == version.name:
        raise invalid_field("successor", "a version does not succeed itself", "SELF_SUCCESSOR")
    if successor is not None and not successor.name:
        raise NotFound("VERSION_NOT_FOUND", f"there is no {named} to use instead")
    if successor is not None and successor.phase in LAST_PHASES:
        raise NotAllowedNow("SUCCESSOR_RETIRED", f"{named} is retired itself; name a living version")
    event = facts.VersionDeprecated(successor=named, message=message, sunset_time=sunset)
    return None if version.HasField("deprecation") and _same_deprecation(version.deprecation, event) else event


def _same_deprecation(known: Deprecation, event: facts.VersionDeprecated) -> bool:
    return (
        known.successor == event.successor
        and known.message == event.message
        and known.HasField("sunset_time") == event.HasField("sunset_time")
        and known.sunset_time == event.sunset_time
    )


def retire_version(
    version: Version, model: Model, project: Project, *, serving: Sequence[str], holds: Sequence[str] = ()
) -> facts.VersionRetired | None:
    """`serving`: names of the endpoints that serve it, `holds`: of legal holds over it, as far as they are known."""
    present(version)
    if version.phase in LAST_PHASES:
        return None
    ending.check_unheld(version, holds)
    aliases = sorted(alias for alias, target in model.aliases.items() if target.version == version.name)
    if serving or aliases:
        parts = [f"served by {', '.join(serving)}"] if serving else []
        parts += [f"pointed to by alias {', '.join(aliases)}"] if aliases else []
        raise NotAllowedNow(
            "VERSION_IN_USE",
            f"{version.name} is {' and '.join(parts)}; move them to another version first",
            metadata={"endpoints": " ".join(serving), "aliases": " ".join(aliases)},
        )
    return facts.VersionRetired(
        from_stage=version.stage,
        artifact=version.artifact,
        to_stage=stage_of_phase(project.lifecycle, PHASE_RETIRED).id,
        from_phase=version.phase,
    )


def archive_version(version: Version, project: Project, *, record: str) -> facts.VersionArchived | None:
    """The archive has sealed it into `record`."""
    present(version)
    if version.phase == PHASE_ARCHIVED:
        return None
    if version.phase != PHASE_RETIRED:
        raise NotAllowedNow("VERSION_NOT_RETIRED", f"{version.name} is in {version.stage}; retire it first")
    return facts.VersionArchived(record=record, to_stage=stage_of_phase(project.lifecycle, PHASE_ARCHIVED).id)


def evolve_version(version: Version, event: Message, envelope: Fact) -> None:
    match event:
        case facts.VersionRegistered():
            _fold_registered(version, event, envelope)
        case facts.VersionDescribed():
            write(version.documentation, event.documentation, event.update_mask.paths)
            _fold_content(version, envelope, "its documentation changed")
        case facts.EvaluationRecorded():
            evaluation = version.evaluations[event.evaluation_id]
            evaluation.CopyFrom(event.evaluation)
            evaluation.record_time.CopyFrom(envelope.recorded_at)
            evaluation.recorded_by = envelope.actor.id
            _fold_content(version, envelope, f"evaluation {event.evaluation_id} was recorded")
        case facts.TagSet():
            tags.fold_tag_set(version, event)
        case facts.TagRemoved():
            tags.fold_tag_removed(version, event)
        case facts.VersionDeprecated():
            _fold_deprecated(version, event, envelope)
        case facts.VersionRetired():
            version.stage, version.phase = event.to_stage, PHASE_RETIRED
            requests.fold_void(version, "it was retired")
        case facts.VersionArchived():
            version.stage, version.phase, version.record = event.to_stage, PHASE_ARCHIVED, event.record
        case _:
            if not any(fold(version, event, envelope) for fold in _FOLDS):
                raise UnknownFact(event)


# What other modules of this folder know of versions.
_FOLDS = (
    requests.evolve_transition,
    findings.evolve_finding,
    checklists.evolve_checklist,
    ending.evolve_ending,
    evolve_provenance,
)


def _fold_registered(version: Version, event: facts.VersionRegistered, envelope: Fact) -> None:
    version.artifact.CopyFrom(event.artifact)
    version.signature.CopyFrom(event.signature)
    version.source.CopyFrom(event.source)
    version.training_data.MergeFrom(event.training_data)
    version.hyperparameters.MergeFrom(event.hyperparameters)
    version.documentation.CopyFrom(event.documentation)
    version.framework, version.parent_version = event.framework, event.parent_version
    version.stage, version.phase, version.answers = event.stage, event.phase, event.answers
    version.author = event.author or envelope.actor.id
    version.makers.extend(makers_of(event, envelope))
    version.marks.extend(event.marks)
    if event.HasField("copied_from"):
        version.copied_from.CopyFrom(event.copied_from)
    version.content_revision = envelope.generation
    tags.fold_given(version, event)


def _fold_deprecated(version: Version, event: facts.VersionDeprecated, envelope: Fact) -> None:
    deprecation = Deprecation(successor=event.successor, message=event.message, deprecated_by=envelope.actor.id)
    deprecation.deprecate_time.CopyFrom(envelope.recorded_at)
    if event.HasField("sunset_time"):
        deprecation.sunset_time.CopyFrom(event.sunset_time)
    version.deprecation.CopyFrom(deprecation)


def _fold_content(version: Version, envelope: Fact, why: str) -> None:
    version.content_revision = envelope.generation
    requests.fold_void(version, why)
