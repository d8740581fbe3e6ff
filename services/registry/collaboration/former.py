"""What waited for somebody as of a past moment: from former states, by the functions that make the tables of now."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from kernel.errors import Exhausted
from kernel.fold import Kind
from kernel.resources import Resources
from modelog.registry.v1.collaboration_pb2 import Thread
from modelog.registry.v1.types_pb2 import Version
from modelog.type.v1.read_pb2 import ReadOptions
from services.registry.collaboration.projections import reasons
from services.registry.collaboration.queries import MOST_THREADS, MOST_VERSIONS
from services.registry.domain import MODEL, THREAD, VERSION

_PAGE = 500
_MOST_LOOKED_AT = 10_000


class Former(NamedTuple):
    """Of a project as of a moment: versions and threads that may wait for somebody, newest first."""

    versions: list[Version]
    threads: list[Thread]


async def owned(resources: Resources, project: str, principals: list[str], read: ReadOptions) -> list[str]:
    """Models that these principals or teams owned."""
    models = await _all(resources, MODEL, f"{project}/models/", read)
    return [one.name for one in models if not set(principals).isdisjoint(one.details.owners)]


async def waiting(resources: Resources, project: str, parts: Mapping[str, set[str]], read: ReadOptions) -> Former:
    """parts: what the asking person took part in, and as what."""
    versions = await _all(resources, VERSION, f"{project}/models/-/versions/", read)
    threads = await _all(resources, THREAD, f"{project}/models/-/threads/", read)
    mine = [one for one in threads if one.name in parts or "owner" in parts.get(THREAD.pattern.parent(one.name), ())]
    return Former(_newest([one for one in versions if any(reasons(one))], MOST_VERSIONS), _newest(mine, MOST_THREADS))


def _newest(found: list[Any], most: int) -> list[Any]:
    return sorted(found, key=lambda one: -one.revision)[:most]


async def _all(resources: Resources, kind: Kind, prefix: str, read: ReadOptions) -> list[Any]:
    asking = SimpleNamespace(page_size=_PAGE, page_token="", read=read)
    found: list[Any] = []
    while True:
        bodies, asking.page_token = await resources.page_of(kind, prefix, asking)
        found += map(kind.message.FromString, bodies)
        if not asking.page_token:
            return found
        if len(found) >= _MOST_LOOKED_AT:
            raise Exhausted(
                "TOO_MUCH_TO_LOOK_AT",
                f"there were over {_MOST_LOOKED_AT} {kind.pattern.collection}; ask about single ones as of that moment",
            )
