"""Models: a purpose, and the movable pointers to the versions that fulfil it."""

from collections.abc import Mapping, Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact, invalid_field
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.imports_pb2 import Origin
from modelog.registry.v1.types_pb2 import Model, ModelDetails, Project, Version
from services.registry.domain import tags
from services.registry.domain.lifecycle import LAST_PHASES
from services.registry.domain.masks import paths, write
from services.registry.domain.project import present as project_present

_MOST_ALIASES = 64


def present(model: Model) -> None:
    """NotFound for a model that does not exist."""
    if not model.name:
        raise NotFound("MODEL_NOT_FOUND", "there is no such model; create it first")


def create_model(
    model: Model,
    project: Project,
    *,
    details: ModelDetails,
    origin: Origin | None = None,
    labels: Mapping[str, str] | None = None,
) -> facts.ModelCreated:
    """`origin`: where it was before, if it was; `labels`: the tags it begins with."""
    project_present(project)
    if model.name:
        raise AlreadyExists("MODEL_EXISTS", f"{model.name} exists already")
    return facts.ModelCreated(details=details, origin=origin, tags=labels)


def describe_model(model: Model, *, details: ModelDetails, mask: FieldMask) -> facts.ModelDescribed | None:
    present(model)
    changed = [name for name in paths(mask, ModelDetails) if getattr(details, name) != getattr(model.details, name)]
    if not changed:
        return None
    event = facts.ModelDescribed(update_mask=FieldMask(paths=changed))
    write(event.details, details, changed)
    return event


def set_model_tag(model: Model, *, key: str, value: str) -> facts.TagSet | None:
    present(model)
    return tags.set_tag(model, key=key, value=value)


def remove_model_tag(model: Model, *, key: str) -> facts.TagRemoved | None:
    present(model)
    return tags.remove_tag(model, key=key)


def assign_alias(model: Model, version: Version, *, alias: str) -> facts.AliasAssigned | None:
    """Points `alias` to `version`, which is one of the model's."""
    present(model)
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")
    if not version.name.startswith(f"{model.name}/"):
        raise invalid_field("version", f"{version.name} is not a version of {model.name}", "OTHER_MODEL")
    if version.phase in LAST_PHASES:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} is retired; point the alias to a living version")
    known = alias in model.aliases
    if known and model.aliases[alias].version == version.name:
        return None
    if not known and len(model.aliases) >= _MOST_ALIASES:
        raise NotAllowedNow("TOO_MANY_ALIASES", f"{model.name} has {_MOST_ALIASES} aliases; remove one first")
    displaced = model.aliases[alias].version if known else ""
    return facts.AliasAssigned(alias=alias, version=version.name, displaced_version=displaced)


def remove_alias(model: Model, *, alias: str) -> facts.AliasRemoved:
    present(model)
    if alias not in model.aliases:
        raise NotFound("ALIAS_NOT_FOUND", f"{model.name} has no alias {alias!r}")
    return facts.AliasRemoved(alias=alias, displaced_version=model.aliases[alias].version)


def retire_model(model: Model, *, living: Sequence[str]) -> facts.ModelRetired | None:
    """`living`: names of its versions that are not retired, as far as they were looked up."""
    present(model)
    if model.retired:
        return None
    if living:
        raise NotAllowedNow(
            "MODEL_HAS_VERSIONS",
            f"retire its versions first: {', '.join(living)}",
            metadata={"versions": " ".join(living)},
        )
    return facts.ModelRetired()


def evolve_model(model: Model, event: Message, envelope: Fact) -> None:
    match event:
        case facts.ModelCreated():
            model.details.CopyFrom(event.details)
            tags.fold_given(model, event)
        case facts.ModelDescribed():
            write(model.details, event.details, event.update_mask.paths)
        case facts.TagSet():
            tags.fold_tag_set(model, event)
        case facts.TagRemoved():
            tags.fold_tag_removed(model, event)
        case facts.AliasAssigned():
            alias = model.aliases[event.alias]
            alias.version, alias.previous_version = event.version, event.displaced_version
            alias.assigned_by = envelope.actor.id
            alias.assign_time.CopyFrom(envelope.recorded_at)
        case facts.AliasRemoved():
            model.aliases.pop(event.alias, None)
        case facts.ModelRetired():
            model.retired = True
        case _:
            raise UnknownFact(event)
