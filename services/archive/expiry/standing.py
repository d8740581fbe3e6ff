"""The rules and holds of a project, and its records, as of now or of a revision."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernel.fold import Kind
from kernel.names import child, project_of
from kernel.resources import Resources
from modelog.archive.v1.retentions_pb2 import KnownVersion
from modelog.archive.v1.types_pb2 import Record
from modelog.type.v1.read_pb2 import ReadOptions
from services.archive.domain import HOLD, KNOWN_VERSION, RECORD, RETENTION
from services.archive.domain.expiring import Standing

_PAGE_SIZE = 500


@dataclass(slots=True)
class Page:
    """What Resources.page_of asks for."""

    read: ReadOptions = field(default_factory=ReadOptions)
    page_size: int = _PAGE_SIZE
    page_token: str = ""


async def every(resources: Resources, kind: Kind, prefix: str, read: ReadOptions | None = None) -> AsyncIterator[Any]:
    """All resources of a kind below a prefix, by name."""
    page = Page(read or ReadOptions())
    while True:
        bodies, page.page_token = await resources.page_of(kind, prefix, page)
        for body in bodies:
            yield kind.message.FromString(body)
        if not page.page_token:
            return


async def standing_of(resources: Resources, project: str, read: ReadOptions | None = None) -> Standing:
    rules = [one async for one in every(resources, RETENTION, child(project, "retentions", ""), read)]
    holds = [one async for one in every(resources, HOLD, child(project, "holds", ""), read)]
    return Standing(rules, holds)


async def projects_with_rules(resources: Resources) -> list[str]:
    """In order; those whose rules were all removed included."""
    return sorted({project_of(one.name) async for one in every(resources, RETENTION, "projects/")})


async def versions_of(
    resources: Resources, records: Sequence[Record], read: ReadOptions | None = None
) -> list[KnownVersion]:
    """The version of each record; an empty one where the archive does not know it."""
    return list(await asyncio.gather(*(resources.load(KNOWN_VERSION, one.version, read) for one in records)))


async def records_of(resources: Resources, project: str) -> AsyncIterator[list[Record]]:
    """All records of a project, some hundred at a time."""
    page = Page()
    while True:
        bodies, page.page_token = await resources.page_of(RECORD, child(project, "records", ""), page)
        yield [Record.FromString(body) for body in bodies]
        if not page.page_token:
            return
