"""A YAML node into a message, by the message's own descriptor: there is no second list of what may be written.

Keys are the JSON names of the fields (`requiredReviews`); their names in the proto are understood too. Texts are taken
as they stand in the file, so `version: 1.0` and `answer: no` need no quotes where a text is wanted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from modelog.declare.kinds import REFERENCES, full_name
from modelog.declare.problems import Problem, suggestion
from modelog.declare.scalars import TEXTUAL, value_of

# A field, a place in a list or a key of a map: ("policy", "rules", 0, "gates", 1, "expression").
Place = tuple[str | int, ...]

_MOST_NODES = 100_000
_DEEPEST = 32


@dataclass
class Reader:
    """Reads the nodes of one file; what is wrong is collected, so that all of it is told at once."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def wrong(self, node: Any, text: str) -> None:
        self.problems.append(Problem(self.file, line_of(node), text))

    def pairs(self, node: Any, what: str) -> list[tuple[str, Any, Any]]:
        """Key, its node and the value's node of a mapping; what is no mapping or says a key twice is a problem."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} is written as keys with values")
            return []
        found: dict[str, tuple[str, Any, Any]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.wrong(key, "a key is one word")
            elif key.value in found:
                self.wrong(key, f"{key.value!r} is there twice, first in line {line_of(found[key.value][1])}")
            else:
                found[key.value] = (key.value, key, value)
        return list(found.values())

    def message(self, into: Any, node: Any, place: Place, lines: dict[Place, int]) -> None:
        """Fills a message, and `lines` with where each part of it stands."""
        fields: Mapping[str, FieldDescriptor] = into.DESCRIPTOR.fields_by_name
        self.fields(into, self.pairs(node, _called(place)), fields, place, lines)

    def fields(
        self,
        into: Any,
        pairs: Iterable[tuple[str, Any, Any]],
        fields: Mapping[str, FieldDescriptor],
        place: Place,
        lines: dict[Place, int],
    ) -> None:
        """Fills those of a message's fields that may be said here."""
        names = {one.json_name: one for one in fields.values()} | {one.name: one for one in fields.values()}
        chosen: dict[str, str] = {}
        for word, key, value in pairs:
            one = names.get(word)
            if one is None:
                self.wrong(key, f"unknown key {word!r}{suggestion(word, [f.json_name for f in fields.values()])}")
                continue
            choice = one.containing_oneof.name if one.containing_oneof else one.name
            if choice in chosen:
                self.wrong(key, f"{word!r} and {chosen[choice]!r} cannot both be said; choose one")
                continue
            chosen[choice] = word
            lines[(*place, one.name)] = line_of(key)
            self._field(into, one, value, (*place, one.name), lines)

    def _field(self, into: Any, one: FieldDescriptor, node: Any, place: Place, lines: dict[Place, int]) -> None:
        if self._too_much(node, place):
            return
        if one.message_type is not None and one.message_type.GetOptions().map_entry:
            self._map(getattr(into, one.name), one.message_type, node, place, lines)
        elif one.is_repeated:
            self._list(getattr(into, one.name), one, node, place, lines)
        elif one.message_type is None:
            found = self._scalar(one, node)
            if found is not None:
                setattr(into, one.name, found)
        elif one.message_type.full_name in TEXTUAL:
            found = self._scalar(one, node)
            if found is not None:
                getattr(into, one.name).CopyFrom(found)
        else:
            getattr(into, one.name).SetInParent()
            self.message(getattr(into, one.name), node, place, lines)

    def _list(self, target: Any, one: FieldDescriptor, node: Any, place: Place, lines: dict[Place, int]) -> None:
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{one.json_name} is a list: write its parts with `- `, or [] for none")
            return
        for index, part in enumerate(node.value):
            here = (*place, index)
            lines[here] = line_of(part)
            if self._too_much(part, here):
                return
            if one.message_type is None:
                found = self._scalar(one, part)
                if found is not None:
                    target.append(found)
            else:
                self.message(target.add(), part, here, lines)

    def _map(self, target: Any, entry: Descriptor, node: Any, place: Place, lines: dict[Place, int]) -> None:
        inner = entry.fields_by_name["value"]
        for word, key, value in self.pairs(node, _called(place)):
            here = (*place, word)
            lines[here] = line_of(key)
            if self._too_much(value, here):
                return
            if inner.message_type is None:
                found = self._scalar(inner, value)
                if found is not None:
                    target[word] = found
            else:
                self.message(target[word], value, here, lines)

    def _scalar(self, one: FieldDescriptor, node: Any) -> Any:
        """The value; None when it is none, which is told."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, f"{one.json_name} is one value")
            return None
        if node.tag == "tag:yaml.org,2002:null" and node.style is None:
            self.wrong(node, f'{one.json_name} says nothing; write "" to clear it, or leave it out to let it be')
            return None
        try:
            found = value_of(one, node.value)
            if one.name in REFERENCES and found:
                found = full_name(found, REFERENCES[one.name])
        except ValueError as error:
            self.wrong(node, f"{one.json_name}: {error}")
            return None
        return found

    def _too_much(self, node: Any, place: Place) -> bool:
        """An anchor makes a small file a large one, or one without an end: both are told once."""
        self.nodes += 1
        if self.nodes <= _MOST_NODES and len(place) <= _DEEPEST:
            return False
        if self.nodes < 2 * _MOST_NODES:
            self.nodes = 2 * _MOST_NODES
            self.wrong(node, f"the file says too much: more than {_MOST_NODES} values, or more than {_DEEPEST} deep")
        return True


def _called(place: Place) -> str:
    """What a place is called in a sentence."""
    return next((part for part in reversed(place) if isinstance(part, str)), "it")


def line_of(node: Any) -> int:
    return int(node.start_mark.line) + 1
