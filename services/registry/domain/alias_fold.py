"""Aliases as folded: where each points, and the way back."""

from google.protobuf.message import Message

from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import declare_events_pb2 as moves
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.types_pb2 import Alias, Model

# How many moves an alias can be rolled back; each fact writes the model again, so this has to stay small.
MOST_FORMER = 50


def version_name(model: Model, number: int) -> str:
    return f"{model.name}/versions/{number}"


def evolve_aliases(model: Model, event: Message, envelope: Fact) -> bool:
    """Folds what moves aliases; False for the rest."""
    match event:
        case facts.AliasAssigned():
            _forward(model.aliases[event.alias], event.version, envelope)
        case facts.AliasRemoved():
            model.aliases.pop(event.alias, None)
        case moves.AliasesSwapped():
            _forward(model.aliases[event.alias], event.version, envelope)
            _forward(model.aliases[event.other_alias], event.other_version, envelope)
        case moves.AliasRolledBack():
            alias = model.aliases[event.alias]
            del alias.former_versions[-1:]
            _point(alias, event.version, envelope)
        case _:
            return False
    return True


def _forward(alias: Alias, version: str, envelope: Fact) -> None:
    """A move that can be taken back: where it pointed until now is the next one to go back to."""
    if alias.version:
        alias.former_versions.append(int(alias.version.rpartition("/")[2]))
        del alias.former_versions[:-MOST_FORMER]
    _point(alias, version, envelope)


def _point(alias: Alias, version: str, envelope: Fact) -> None:
    alias.previous_version, alias.version = alias.version, version
    alias.assigned_by = envelope.actor.id
    alias.assign_time.CopyFrom(envelope.recorded_at)
