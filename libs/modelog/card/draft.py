"""What people have to write, as Markdown to fill in: `modelog versions describe --file` takes it back."""

import re

from google.protobuf.descriptor import FieldDescriptor

from modelog.pages.words import label, seen
from modelog.registry.v1.cards_pb2 import ModelCard
from modelog.registry.v1.types_pb2 import Documentation

_HEADING = re.compile(r"^(\\*#)", re.MULTILINE)


def draft(card: ModelCard) -> str:
    """A heading for each text, with what is there; what is required and missing comes first."""
    written = card.version.documentation
    names = [one.name for one in Documentation.DESCRIPTOR.fields if one.type == FieldDescriptor.TYPE_STRING]
    missing = [name for name in names if f"documentation.{name}" in card.completeness.missing or _data(name, card)]
    parts = [f"# {seen(card.model.details.title or card.name).strip()}"]
    for name in (*missing, *(one for one in names if one not in missing)):
        # A line of the text that looks like a heading is no heading.
        text = _HEADING.sub(r"\\\1", seen(getattr(written, name)).strip())
        parts.append(f"## {label(name).capitalize()}\n\n{text}".rstrip())
    return "\n\n".join(parts) + "\n"


def _data(name: str, card: ModelCard) -> bool:
    """Whether the text of a field of the training data, as `data_biases`, is missing."""
    return name.startswith("data_") and f"training_data.{name.removeprefix('data_')}" in card.completeness.missing
