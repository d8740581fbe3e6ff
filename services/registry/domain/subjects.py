"""Which facts somebody wants: subjects of the log with `*` and `>`, names of resources, and kinds of events."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kernel.errors import invalid_field
from kernel.names import ID_PATTERN, project_of

# Facts about who sends what where, and who looks at what, are nobody's business outside: addresses may hold secrets.
HIDDEN = frozenset({"webhooks", "watches"})
_TOKEN = re.compile(rf"\*|{ID_PATTERN.pattern}")
_NAME = re.compile(rf"projects/{ID_PATTERN.pattern}(?:/[a-z]+/{ID_PATTERN.pattern})*")
_LEAST_TOKENS = 4
_PROJECT_AT, _COLLECTION_AT = 2, 3


class Wanted(NamedTuple):
    """project: its id. patterns: tokens of subjects. names: of resources. event_types: empty for all."""

    project: str
    patterns: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    event_types: frozenset[str]

    def takes_subject(self, subject: str) -> bool:
        """Whether facts on this subject may be wanted; `takes` says it for one fact."""
        tokens = subject.split(".")
        if len(tokens) <= _LEAST_TOKENS or tokens[_PROJECT_AT] != self.project or tokens[_COLLECTION_AT] in HIDDEN:
            return False
        if self.names or not self.patterns:
            return True
        return any(_matches(pattern, tokens) for pattern in self.patterns)

    def takes(self, subject: str, resource: str, event_type: str) -> bool:
        """event_type: the event's name without its package."""
        if not self.takes_subject(subject) or (self.event_types and event_type not in self.event_types):
            return False
        if not self.patterns and not self.names:
            return True
        tokens = subject.split(".")
        return any(_matches(pattern, tokens) for pattern in self.patterns) or any(
            resource == name or resource.startswith(name + "/") for name in self.names
        )

    @property
    def filter_subject(self) -> str:
        """One subject of NATS that holds everything that is wanted."""
        if len(self.patterns) == 1 and not self.names:
            return ".".join(self.patterns[0])
        return f"lifecycle.*.{self.project}.>"


def wanted(project: str, subjects: Sequence[str], event_types: Iterable[str], field: str) -> Wanted:
    """`project`: its name. Invalid with SUBJECT_FORMAT or OTHER_PROJECT."""
    patterns, names = [], []
    for index, text in enumerate(subjects):
        where = f"{field}[{index}]"
        if text.startswith("projects/"):
            names.append(_checked_name(text, project, where))
        else:
            patterns.append(_checked_pattern(text, project.removeprefix("projects/"), where))
    return Wanted(project.removeprefix("projects/"), tuple(patterns), tuple(names), frozenset(event_types))


def _checked_name(text: str, project: str, field: str) -> str:
    if not _NAME.fullmatch(text):
        raise invalid_field(field, f"{text!r} is no name of a resource", "SUBJECT_FORMAT")
    if project_of(text) != project:
        raise invalid_field(field, f"{text} is not in {project}", "OTHER_PROJECT")
    return text


def _checked_pattern(text: str, project: str, field: str) -> tuple[str, ...]:
    tokens = text.split(".")
    below = tokens[-1] == ">"
    named = tokens[:-1] if below else tokens
    shape = len(tokens) >= _LEAST_TOKENS and all(_TOKEN.fullmatch(one) for one in named)
    if not shape or tokens[0] != "lifecycle":
        raise invalid_field(
            field, f"{text!r} is not of the form lifecycle.<service>.<project>.<collection>.>", "SUBJECT_FORMAT"
        )
    if tokens[_PROJECT_AT] != project:
        raise invalid_field(
            field, f"its third token has to be {project}: facts of others are not sent", "OTHER_PROJECT"
        )
    return tuple(tokens)


def _matches(pattern: Sequence[str], tokens: Sequence[str]) -> bool:
    if pattern[-1] == ">":
        head = pattern[:-1]
        return len(tokens) > len(head) and _equal(head, tokens)
    return len(tokens) == len(pattern) and _equal(pattern, tokens)


def _equal(pattern: Sequence[str], tokens: Sequence[str]) -> bool:
    return all(one in ("*", token) for one, token in zip(pattern, tokens, strict=False))
