"""Models: a purpose that versions fulfil."""

from collections.abc import Mapping, Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kernel.errors import AlreadyExists, NotAllowedNow, NotFound, UnknownFact
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.imports_pb2 import Origin
from modelog.registry.v1.types_pb2 import Model, ModelDetails, Project
from services.registry.domain import tags
from services.registry.domain.alias_fold import evolve_aliases
from services.registry.domain.masks import paths, write
from services.registry.domain.project import present as project_present


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
        case facts.ModelRetired():
            model.retired = True
        case _:
            if not evolve_aliases(model, event, envelope):
                raise UnknownFact(event)
