"""What people write about models and versions, out of a file they keep beside the code: JSON, TOML or Markdown."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from modelog.cli.state import State
from modelog.cli.verbs import Field, Prepare, opt

# Of a version: the sections of its card, in their order.
DOCUMENTATION = (
    opt("documentation.summary", "In one paragraph."),
    opt("documentation.architecture", "How it is built."),
    opt("documentation.intended_use", "What it may be used for, and what not."),
    opt("documentation.intended_users", "Who it was made for."),
    opt("documentation.out_of_scope", "What it must not be used for, although somebody may want to."),
    opt("documentation.factors", "Groups, instruments and surroundings that its quality depends on."),
    opt("documentation.measures", "Why it is measured as it is."),
    opt("documentation.data_sources", "Where the training data comes from."),
    opt("documentation.data_collection", "How the training data was gathered and labelled."),
    opt("documentation.data_preprocessing", "What was done to the training data before it was used."),
    opt("documentation.data_biases", "What the training data over- or under-represents."),
    opt("documentation.evaluation_data", "What it was measured on, and why."),
    opt("documentation.quantitative_analyses", "What the measurements mean."),
    opt("documentation.assumptions", "What has to hold for its answers to be right."),
    opt("documentation.limitations", "Where it is known to fail."),
    opt("documentation.ethical_considerations", "Whom it may harm and what was done about it."),
    opt("documentation.caveats", "What else a user should know."),
    opt("documentation.recommendations", "What users should do about its limitations."),
    opt("documentation.resources", "What training took, TrainingResources as JSON."),
)
# Of a model.
DETAILS = (
    opt("details.title", "For people."),
    opt("details.description", "What it is for."),
    opt("details.task", "Kind of problem, for example binary-classification."),
    opt("details.owners", "Who answers for it, users/ada.", flag="--owner"),
    opt("details.links", 'Documentation kept elsewhere: {"title": ..., "uri": ...}.', flag="--link"),
    opt("details.license", "Under which terms it may be used, for example an SPDX id."),
    opt("details.citation", "How to cite it."),
    opt("details.contact", "Where to send questions."),
    opt("details.developed_by", "The person or organisation that made it."),
    opt("details.languages", "Human language it works with, for example en.", flag="--language"),
)
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


def file_option(what: str) -> click.Parameter:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.Option(["--file"], type=kind, help=f"{what} out of .json, .toml or .md with a heading for each field.")


def from_file(inside: str, fields: tuple[Field, ...]) -> Prepare:
    """Fills the message `inside` the request from --file; what was typed beside it wins."""

    def prepare(_state: State, request: Any, values: dict[str, Any]) -> None:
        if values["file"] is None:
            return
        target = getattr(request, inside)
        typed = {field.path.partition(".")[2] for field in fields if values.get(field.key) not in (None, (), False)}
        found = read(values["file"], type(target))
        for name in named(values["file"], type(target)):
            if name not in typed:
                _copy(found, target, name)
        if "update_mask" in request.DESCRIPTOR.fields_by_name:
            known = [*request.update_mask.paths, *named(values["file"], type(target))]
            request.update_mask.ClearField("paths")
            request.update_mask.paths.extend(dict.fromkeys(known))

    return prepare


def read(path: Path, kind: Any) -> Any:
    """The message that a file describes; UsageError names what it does not have."""
    try:
        return json_format.ParseDict(_values(path, kind), kind())
    except json_format.ParseError as error:
        raise click.UsageError(f"{path.name}: {error}") from error


def named(path: Path, kind: Any) -> list[str]:
    """The fields that the file speaks of, by their names in the proto."""
    known = {one.camelcase_name: one.name for one in kind.DESCRIPTOR.fields}
    return [known.get(key, key) for key in _values(path, kind)]


def _values(path: Path, kind: Any) -> dict[str, Any]:
    text, suffix = path.read_text(encoding="utf-8"), path.suffix.lower()
    try:
        if suffix == ".json":
            found = json.loads(text)
        elif suffix == ".toml":
            found = tomllib.loads(text)
        elif suffix in (".md", ".markdown"):
            found = _headings(path, text, kind)
        else:
            raise click.UsageError(f"{path.name}: give .json, .toml or .md")
    except ValueError as error:
        raise click.UsageError(f"{path.name}: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{path.name}: it has to be an object with fields of {kind.DESCRIPTOR.name}")
    return found


def _headings(path: Path, text: str, kind: Any) -> dict[str, str]:
    """The text below each heading; a first heading that is no field is the title of the file."""
    texts = [
        one.name for one in kind.DESCRIPTOR.fields if one.type == FieldDescriptor.TYPE_STRING and not one.is_repeated
    ]
    headings = list(_HEADING.finditer(text))
    found = {}
    for place, heading in enumerate(headings):
        name = re.sub(r"[\W_]+", "_", heading[1].lower()).strip("_")
        end = headings[place + 1].start() if place + 1 < len(headings) else len(text)
        if name in texts:
            if name in found:
                raise click.UsageError(f"{path.name}: heading {heading[1]!r} is there twice")
            # In a text a line that begins with \# begins with #, and is no heading.
            found[name] = re.sub(r"^\\(\\*#)", r"\1", text[heading.end() : end].strip(), flags=re.MULTILINE)
        elif place or text[heading.end() : end].strip():
            words = ", ".join(one.replace("_", " ") for one in texts)
            raise click.UsageError(f"{path.name}: heading {heading[1]!r} is none of: {words}")
    return found


def _copy(source: Any, target: Any, name: str) -> None:
    field = target.DESCRIPTOR.fields_by_name[name]
    target.ClearField(name)
    value = getattr(source, name)
    if field.is_repeated:
        getattr(target, name).MergeFrom(value)
    elif field.message_type is not None:
        getattr(target, name).CopyFrom(value)
    else:
        setattr(target, name, value)
