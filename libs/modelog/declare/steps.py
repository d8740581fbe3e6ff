"""The calls that make a resource what a document wants: built from the requests' own descriptors. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelog.declare.difference import Change
from modelog.declare.documents import Document
from modelog.declare.kinds import Kind, fields_of, inputs, request_of
from modelog.declare.reading import Place


@dataclass(frozen=True)
class Step:
    """One call and the one fact it leads to. place: where its part of the document stands; below: the field of the
    request that holds that part."""

    method: str
    request: Any
    place: Place = ()
    below: str = ""

    @property
    def name(self) -> str:
        return self.method.partition(".")[2]


def steps(document: Document, present: Any, wanted: Any, changes: Sequence[Change]) -> list[Step]:
    """What is to be called, in this order; nothing where nothing differs."""
    kind = document.kind
    made = list(_creating(kind, document, wanted) if not present.name else _updating(kind, document, wanted, changes))
    for field, name in kind.further.items():
        made += _further(kind, document.name, field, name, wanted, changes)
    return made


def _creating(kind: Kind, document: Document, wanted: Any) -> Iterable[Step]:
    request = request_of(kind.service, kind.create)
    parent, _, id_ = document.name.rpartition("/")
    parent = parent.rpartition("/")[0]
    if parent:
        request.parent = parent
    setattr(request, f"{kind.word.lower()}_id", id_)
    _copy(wanted, request, fields_of(kind))
    yield Step(f"{kind.service}.{kind.create}", request)


def _updating(kind: Kind, document: Document, wanted: Any, changes: Sequence[Change]) -> Iterable[Step]:
    changed = [change for change in changes if change.place[0] not in kind.further]
    if not changed or not kind.update:  # What never changes is told by whoever plans.
        return
    if kind.update == kind.create:
        yield from _creating(kind, document, wanted)
        return
    request = request_of(kind.service, kind.update)
    request.name = document.name
    # A mask names fields of the request itself, or of its one message of which a document may say a part.
    inside = next((name for name in kind.partly if name in inputs(kind, kind.update).fields_by_name), "")
    depth = 1 if inside else 0
    request.update_mask.paths.extend(dict.fromkeys(str(change.place[depth]) for change in changed))
    _copy(wanted, request, [inside] if inside else request.update_mask.paths)
    yield Step(f"{kind.service}.{kind.update}", request)


def _further(kind: Kind, name: str, field: str, method: str, wanted: Any, changes: Sequence[Change]) -> Iterable[Step]:
    """Fields with a method of their own: one call for the whole field, or one for each key of a map that differs."""
    changed = [change.place for change in changes if change.place[0] == field]
    value = getattr(wanted, field)
    if changed and field not in kind.partly:
        request = request_of(kind.service, method)
        request.name = name
        getattr(request, field).CopyFrom(value)
        getattr(request, field).SetInParent()
        yield Step(f"{kind.service}.{method}", request, (field,), field)
        return
    for key in dict.fromkeys(str(place[1]) for place in changed):
        request = request_of(kind.service, method)
        request.name = name
        if method == "SetTag":
            request.key, request.value = key, value[key]
        else:
            request.role = key
            request.definition.CopyFrom(value[key])
        yield Step(f"{kind.service}.{method}", request, (field, key), "value" if method == "SetTag" else "definition")


def _copy(source: Any, request: Any, names: Iterable[str]) -> None:
    """Those fields that the request has as well."""
    for name in names:
        field = request.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            continue
        if field.is_repeated:
            getattr(request, name).MergeFrom(getattr(source, name))
        elif field.message_type is None:
            setattr(request, name, getattr(source, name))
        elif source.HasField(name):
            getattr(request, name).CopyFrom(getattr(source, name))
