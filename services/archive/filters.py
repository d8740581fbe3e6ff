"""Conditions over the copy of the log: which facts a caller means, as fragments of SQL with their parameters. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from kernel.errors import invalid_field
from modelog.archive.v1.types_pb2 import FactFilter


class Where:
    """Conditions that all have to hold; values are always parameters, never text of the query."""

    def __init__(self) -> None:
        self.parameters: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """`condition` has one {} for each value."""
        places = []
        for value in values:
            self.parameters.append(value)
            places.append(f"${len(self.parameters)}")
        self._conditions.append(condition.format(*places))

    def __str__(self) -> str:
        return " and ".join(self._conditions) or "true"


def matching(where: Where, filter_: FactFilter) -> None:
    """Adds what a filter asks for."""
    if filter_.services:
        where.add("split_part(subject, '.', 2) = any({}::text[])", list(filter_.services))
    if filter_.projects:
        where.add("split_part(subject, '.', 3) = any({}::text[])", [_project_id(one) for one in filter_.projects])
    if filter_.resources:
        where.add("resource = any({}::text[])", list(filter_.resources))
    if filter_.resource_prefixes:
        below(where, filter_.resource_prefixes)
    if filter_.event_types:
        kinds = list(filter_.event_types)
        where.add("(event_type = any({}::text[]) or split_part(event_type, '.', 4) = any({}::text[]))", kinds, kinds)
    if filter_.actors:
        where.add("actor = any({}::text[])", list(filter_.actors))
    if filter_.correlation_id:
        where.add("correlation_id = {}", filter_.correlation_id)
    _when(where, filter_)


def _when(where: Where, filter_: FactFilter) -> None:
    if filter_.happened_before:
        where.add("happened_at is not null")
    if filter_.HasField("from_time"):
        where.add("recorded_at >= {}", moment_of(filter_.from_time, "filter.from_time"))
    if filter_.HasField("to_time"):
        where.add("recorded_at < {}", moment_of(filter_.to_time, "filter.to_time"))


def below(where: Where, names: Sequence[str]) -> None:
    """These resources and everything below them."""
    patterns = [name.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "/%" for name in names]
    where.add("(resource = any({}::text[]) or resource like any({}::text[]))", list(names), patterns)


def _project_id(name: str) -> str:
    head, _, project_id = name.partition("/")
    if head != "projects" or not project_id or "/" in project_id:
        raise invalid_field("filter.projects", f"{name!r} is not of the form projects/*", "NAME_FORMAT")
    return project_id


def moment_of(stamp: Timestamp, field: str) -> datetime:
    """The moment, aware; Invalid naming the field when no calendar has it."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid_field(field, "the year has to lie between 1 and 9999", "TIME_RANGE") from None
