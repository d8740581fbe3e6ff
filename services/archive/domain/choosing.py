"""By what rules and holds choose versions: the filter language of searches over what the archive knows of them."""

from functools import cache, lru_cache

from kernel.fields import Field, Schema, Searchable, Type, flag, map_of, number, text, texts
from kernel.filters import Expression
from kernel.matching import condition, meets
from modelog.archive.v1.retentions_pb2 import KnownVersion
from modelog.registry.v1.types_pb2 import Phase
from services.archive.domain.known import KNOWN_VERSION


def version_fields() -> tuple[Field, ...]:
    """Called as in searches of the registry. stage, phase: the last before the end; stages, phases: all of them."""
    return (
        text("model", lambda version: version.name.split("/")[3]),
        number("number", lambda version: int(version.name.rpartition("/")[2])),
        text("stage", lambda version: version.stage),
        text("phase", lambda version: _phase(version.phase)),
        texts("stages", lambda version: list(version.stages)),
        texts("phases", lambda version: [_phase(one) for one in version.phases]),
        text("author", lambda version: version.author),
        text("framework", lambda version: version.framework),
        map_of(Type.TEXT, "tags", lambda version: version.tags),
        text("artifact.sha256", lambda version: version.artifact_sha256),
        text("artifact.format", lambda version: version.artifact_format),
        number("artifact.size_bytes", lambda version: version.artifact_size_bytes),
        text("origin.system", lambda version: version.origin_system),
        flag("deprecated", lambda version: version.deprecated),
    )


VERSIONS = Searchable(KNOWN_VERSION, version_fields)


def check_filter(filter_: str, request_field: str) -> None:
    """Invalid, naming the field and the place, when it is none that chooses versions."""
    condition(filter_, _schema(), request_field)


def chooses(filter_: str, version: KnownVersion) -> bool:
    """Whether the version, as it was when it retired, meets a filter that was checked when it was recorded."""
    return meets(_expression(filter_), VERSIONS, version)


def _phase(phase: int) -> str:
    return Phase.Name(phase).removeprefix("PHASE_") if phase else ""


@cache
def _schema() -> Schema:
    return Schema([VERSIONS])


@lru_cache(maxsize=1024)
def _expression(filter_: str) -> Expression:
    return condition(filter_, _schema(), "filter")
