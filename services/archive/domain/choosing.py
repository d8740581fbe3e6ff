"""By what rules and holds choose versions: the filter language of searches over what the archive knows of them."""

from functools import cache, lru_cache

from kernel.fields import Field, Schema, Searchable, Type, flag, map_of, number, text, texts
from kernel.filters import Expression
from kernel.matching import Asked, condition
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


class Candidate:
    """A version, as it was when it retired, that rules and holds are asked about: read once, however many they are."""

    def __init__(self, version: KnownVersion) -> None:
        self.version = version
        self._asked = Asked(VERSIONS, version) if version.name else None

    def meets(self, filter_: str) -> bool:
        """Whether it meets a filter that was checked when it was recorded; an unknown version meets none."""
        return self._asked is not None and self._asked.meets(_expression(filter_))


def _phase(phase: int) -> str:
    return Phase.Name(phase).removeprefix("PHASE_") if phase else ""


@cache
def _schema() -> Schema:
    return Schema([VERSIONS])


@lru_cache(maxsize=1024)
def _expression(filter_: str) -> Expression:
    return condition(filter_, _schema(), "filter")
