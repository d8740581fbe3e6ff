"""What can be asked about resources: their searchable fields, by the paths that filters and orders name. Pure.

A service lists the fields of a kind in one function; the kernel makes the document of every resource from that list,
and reads filters and orders by it.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kernel.errors import invalid_field
from kernel.fold import Kind


class Type(Enum):
    """What values of a field are. ANY: each is what it is, a text, a number, true or false, or a time."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = "a time"
    TEXTS = "several texts"
    ANY = "of any type"
    WORDS = "full text"


@dataclass(frozen=True)
class Field:
    """One searchable field.

    read: its value in the message of a resource: str, bool, float, Timestamp, a list of str, or for a map a (nested)
    dict of these; what is empty is left out. depth: how many names of the caller's may follow, `tags.team` has 1.
    column: the column it has in the table, for what every resource has. heads: its text tells what the resource is
    about, and ranks before other text; body: its text is found by words.
    """

    path: str
    type: Type
    read: Callable[[Any], Any]
    depth: int = 0
    column: str = ""
    heads: bool = False
    body: bool = False


def text(path: str, read: Callable[[Any], Any], *, heads: bool = False, body: bool = False) -> Field:
    return Field(path, Type.TEXT, read, heads=heads, body=body)


def number(path: str, read: Callable[[Any], Any]) -> Field:
    return Field(path, Type.NUMBER, read)


def flag(path: str, read: Callable[[Any], Any]) -> Field:
    return Field(path, Type.FLAG, read)


def time(path: str, read: Callable[[Any], Any]) -> Field:
    return Field(path, Type.TIME, read)


def texts(path: str, read: Callable[[Any], Any], *, heads: bool = False) -> Field:
    return Field(path, Type.TEXTS, read, heads=heads)


def words(path: str, read: Callable[[Any], Any]) -> Field:
    """Long text, found by words only: it is no part of filters."""
    return Field(path, Type.WORDS, read, body=True)


def map_of(
    type_: Type, path: str, read: Callable[[Any], Any], *, depth: int = 1, heads: bool = False, body: bool = False
) -> Field:
    """A map by names of the caller's. heads, body: its keys and texts are found by words as well."""
    return Field(path, type_, read, depth=depth, heads=heads, body=body)


@dataclass(frozen=True, eq=False)
class Searchable:
    """A kind of resource that can be searched, and the function that lists its fields.

    A function and no tuple, so that its text is part of what the views are known by: see kernel.fingerprint.
    """

    kind: Kind
    fields: Callable[[], Sequence[Field]]


def _column(_message: Any) -> Any:
    """Stands in a column of its own, so the document leaves it out."""
    return None


# What every resource has, whatever its kind.
HEADER = (
    Field("name", Type.TEXT, _column, column="name"),
    Field("create_time", Type.TIME, _column, column="created"),
    Field("update_time", Type.TIME, _column, column="updated"),
    Field("revision", Type.NUMBER, _column, column="revision"),
)


class Schema:
    """The fields of one or several kinds, by path."""

    def __init__(self, searchables: Iterable[Searchable]) -> None:
        known: dict[str, Field] = {one.path: one for one in HEADER}
        for searchable in searchables:
            for one in searchable.fields():
                if known.get(one.path, one).type is not one.type:
                    raise TypeError(f"{one.path} is {one.type.value} in one kind and not in another")
                known[one.path] = one
        self._fields: Mapping[str, Field] = {path: one for path, one in known.items() if one.type is not Type.WORDS}

    def find(self, path: Sequence[str], request_field: str, position: int) -> tuple[Field, tuple[str, ...]]:
        """The field that a path names, and the caller's names behind it; Invalid telling what there is instead."""
        for length in range(len(path), 0, -1):
            found = self._fields.get(".".join(path[:length]))
            if found is None:
                continue
            rest = tuple(path[length:])
            if len(rest) > found.depth:
                raise wrong(request_field, position, f"nothing follows {'.'.join(path[: length + found.depth])}")
            return found, rest
        shown = ".".join(path)
        near = difflib.get_close_matches(shown, self._fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self._fields))}"
        raise wrong(request_field, position, f"there is no field {shown!r}; {hint}")


def wrong(request_field: str, position: int, description: str) -> Exception:
    """The refusal of a filter or order. position: of the character, from 0."""
    return invalid_field(request_field, f"at character {position + 1}: {description}", request_field.upper())
