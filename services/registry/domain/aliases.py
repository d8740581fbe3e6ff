"""Aliases: movable pointers to the versions of a model, which a policy can protect."""

from collections.abc import Sequence
from datetime import datetime

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from modelog.registry.v1 import declare_events_pb2 as moves
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Model, Project, Version
from services.registry.domain.access import Access
from services.registry.domain.alias_fold import version_name
from services.registry.domain.lifecycle import LAST_PHASES
from services.registry.domain.model import present
from services.registry.domain.protection import admits, may_move

_MOST_ALIASES = 64


def assign_alias(
    model: Model,
    version: Version,
    project: Project,
    everywhere: Project,
    *,
    alias: str,
    actors: Sequence[str],
    now: datetime,
) -> facts.AliasAssigned | None:
    """Points `alias` to `version`, which is one of the model's. `actors`: who moves it, then for whom."""
    present(model)
    if not version.name:
        raise NotFound("VERSION_NOT_FOUND", "there is no such version; register it first")
    if not version.name.startswith(f"{model.name}/"):
        raise invalid_field("version", f"{version.name} is not a version of {model.name}", "OTHER_MODEL")
    known = alias in model.aliases
    _movable(model, alias, version, Access(project, everywhere, now), actors)
    if known and model.aliases[alias].version == version.name:
        return None
    if not known and len(model.aliases) >= _MOST_ALIASES:
        raise NotAllowedNow("TOO_MANY_ALIASES", f"{model.name} has {_MOST_ALIASES} aliases; remove one first")
    displaced = model.aliases[alias].version if known else ""
    return facts.AliasAssigned(alias=alias, version=version.name, displaced_version=displaced)


def remove_alias(
    model: Model, project: Project, everywhere: Project, *, alias: str, actors: Sequence[str], now: datetime
) -> facts.AliasRemoved:
    """With the alias goes its way back: what is assigned under its name later is new."""
    _known(model, alias)
    may_move(Access(project, everywhere, now), model.name, alias, actors)
    return facts.AliasRemoved(alias=alias, displaced_version=model.aliases[alias].version)


def swapped_versions(model: Model, alias: str, other_alias: str) -> list[str]:
    """Where each of them would point; nothing where there is nothing to swap."""
    both = (other_alias, alias)
    return [model.aliases[one].version for one in both] if all(one in model.aliases for one in both) else []


def swap_aliases(
    model: Model,
    project: Project,
    everywhere: Project,
    *versions: Version,
    alias: str,
    other_alias: str,
    actors: Sequence[str],
    now: datetime,
) -> moves.AliasesSwapped | None:
    """`versions`: those of `swapped_versions`, in that order."""
    _known(model, alias)
    _known(model, other_alias)
    if alias == other_alias:
        raise invalid_field("other_alias", "an alias does not change places with itself", "SAME_ALIAS")
    access = Access(project, everywhere, now)
    version, other_version = versions
    _movable(model, alias, version, access, actors)
    _movable(model, other_alias, other_version, access, actors)
    if version.name == other_version.name:
        return None
    return moves.AliasesSwapped(
        alias=alias, version=version.name, other_alias=other_alias, other_version=other_version.name
    )


def former_version(model: Model, alias: str) -> list[str]:
    """Where rolling back would lead; nothing where there is no way back."""
    former = model.aliases[alias].former_versions if alias in model.aliases else ()
    return [version_name(model, former[-1])] if former else []


def roll_back_alias(
    model: Model,
    project: Project,
    everywhere: Project,
    *versions: Version,
    alias: str,
    actors: Sequence[str],
    now: datetime,
) -> moves.AliasRolledBack:
    """Takes the newest move back that was not taken back yet: rolling back twice goes further back, not to and fro.

    `versions`: that of `former_version`.
    """
    _known(model, alias)
    if not versions:
        raise NotAllowedNow(
            "NOTHING_TO_ROLL_BACK", f"{alias} has pointed to nothing else before {model.aliases[alias].version}"
        )
    (version,) = versions
    _movable(model, alias, version, Access(project, everywhere, now), actors)
    displaced = model.aliases[alias].version
    return moves.AliasRolledBack(alias=alias, version=version.name, displaced_version=displaced)


def _known(model: Model, alias: str) -> None:
    present(model)
    if alias not in model.aliases:
        raise NotFound("ALIAS_NOT_FOUND", f"{model.name} has no alias {alias!r}")


def _movable(model: Model, alias: str, version: Version, access: Access, actors: Sequence[str]) -> None:
    """Refuses unless these actors may point this alias to this version now."""
    may_move(access, model.name, alias, actors)
    if version.phase in LAST_PHASES:
        raise NotAllowedNow("VERSION_RETIRED", f"{version.name} is retired; point {alias} to a living version")
    admits(access.project.policy, alias, version)
