"""Resource names (AIP-122) and the literal subject each resource has in the log.

`projects/risk/models/fraud/versions/3` of the registry lives on `lifecycle.registry.risk.versions.fraud.3`:
service, project, collection, then the ids below the project.
"""

import re
from functools import lru_cache

from kernel.errors import invalid_field

ID_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMBER_PATTERN = re.compile(r"[1-9][0-9]{0,11}")
_NUMBER_DIGITS = 12


def check_id(value: str, field: str) -> str:
    """The id itself, or Invalid naming the field."""
    if not ID_PATTERN.fullmatch(value):
        raise invalid_field(field, f"{value!r} is not an id: use a-z, 0-9 and inner hyphens, at most 63", "ID_FORMAT")
    return value


class Pattern:
    """The shape of a kind's names, for example `projects/*/models/*/versions/#` where `#` is a number."""

    def __init__(self, text: str) -> None:
        parts = text.split("/")
        self.text = text
        self.collections = tuple(parts[0::2])
        self.numbered = parts[-1] == "#"
        self.collection = parts[-2]

    def ids(self, name: str, field: str = "name") -> tuple[str, ...]:
        """The ids in a name of this shape, outermost first; Invalid naming the field otherwise."""
        parts = name.split("/")
        if len(parts) != 2 * len(self.collections) or tuple(parts[0::2]) != self.collections:
            raise invalid_field(field, f"{name!r} is not of the form {self.text}", "NAME_FORMAT")
        ids = tuple(parts[1::2])
        for one in ids[:-1]:
            check_id(one, field)
        if self.numbered:
            if not NUMBER_PATTERN.fullmatch(ids[-1]):
                raise invalid_field(field, f"{name!r} does not end in a number", "NAME_FORMAT")
        else:
            check_id(ids[-1], field)
        return ids

    def parent(self, name: str) -> str:
        """The name of the enclosing resource; empty for a project."""
        return "/".join(name.split("/")[:-2])


def project_of(name: str) -> str:
    """`projects/risk` of any name inside that project."""
    return "/".join(name.split("/", 2)[:2])


def child(parent: str, collection: str, id_: str | int) -> str:
    return f"{parent}/{collection}/{id_}" if parent else f"{collection}/{id_}"


@lru_cache(maxsize=65536)
def subject_of(service: str, name: str) -> str:
    """The literal subject of a (valid) resource name."""
    parts = name.split("/")
    below = parts[3::2] or parts[1:2]
    return ".".join(("lifecycle", service, parts[1], parts[-2], *below))


@lru_cache(maxsize=65536)
def sort_key(name: str) -> str:
    """Orders names so that version 10 follows version 9, and keeps a parent's children in one range."""
    head, _, last = name.rpartition("/")
    return f"{head}/{last.zfill(_NUMBER_DIGITS)}" if last.isdigit() else name


def name_in(pattern: Pattern, subject: str) -> str | None:
    """The resource name that lives on a subject, or None when the subject is no name of this shape."""
    tokens = subject.split(".")
    ids = tokens[4:] if len(pattern.collections) == 1 else [tokens[2], *tokens[4:]]
    if len(ids) != len(pattern.collections):
        return None
    return "/".join(part for pair in zip(pattern.collections, ids, strict=True) for part in pair)
