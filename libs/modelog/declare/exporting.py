"""What is there as documents that declare it: applied again they change nothing."""

from typing import Any

from modelog.declare.kinds import BY_WORD, KINDS, REFERENCES, Kind, fields_of, short_name
from modelog.declare.planning import Call, children, read
from modelog.declare.scalars import TEXTUAL, text_of

_ENDS_A_LINE = frozenset("\x85\u2028\u2029")


def export_project(project: str, call: Call) -> list[dict[str, Any]]:
    """The project and everything in it that can be declared; empty when there is no such project."""
    found = read(BY_WORD["Project"], project, call)
    if not found.name:
        return []
    made = [plain(BY_WORD["Project"], found)]
    for kind in KINDS[1:]:
        made += [plain(kind, one) for one in children(kind, project, call)]
    return made


def plain(kind: Kind, resource: Any) -> dict[str, Any]:
    """One document as YAML has it."""
    fields = fields_of(kind).values()
    return {"kind": kind.word, "name": short_name(resource.name), **_fields(resource, fields)}


def _fields(message: Any, fields: Any) -> dict[str, Any]:
    """What is set, by JSON names."""
    made: dict[str, Any] = {}
    for field in fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            if value:
                made[field.json_name] = _many(field, value)
        elif field.has_presence:
            if message.HasField(field.name):
                made[field.json_name] = _one(field, value)
        elif value != field.default_value:
            made[field.json_name] = _one(field, value)
    return made


def _many(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {key: _one(inner, value[key]) for key in sorted(value)}
    return [_one(field, one) for one in value]


def _one(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.full_name not in TEXTUAL:
        return _fields(value, field.message_type.fields)
    if field.name in REFERENCES and value:
        return short_name(value)
    return text_of(field, value)


def dump(documents: list[dict[str, Any]]) -> str:
    """The documents as one YAML file; texts of several lines stand as people write them."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Of its own, so that how texts are written changes for nobody else."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value and value == value.strip("\n ") + "\n" * value.endswith("\n") else None
        if not _ENDS_A_LINE.isdisjoint(value):
            style = '"'  # In any other style PyYAML takes these for ends of lines, and reads them as blanks.
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump_all(
        documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
