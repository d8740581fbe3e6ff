"""What the archive knows of the registry's versions: what rules and holds choose records by, as it was at the end.

From VersionRetired on nothing of it changes, so a record stays what it was when it was sealed; a version that is
brought back goes on from there.
"""

from google.protobuf.message import Message

from kernel.fold import kind
from modelog.archive.v1.retentions_pb2 import KnownVersion
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import events_pb2 as registry
from modelog.registry.v1.governance_events_pb2 import VersionRestored
from modelog.registry.v1.types_pb2 import PHASE_ARCHIVED, PHASE_RETIRED, PHASE_UNSPECIFIED

HEARD = (
    registry.VersionRegistered,
    registry.StageChanged,
    registry.TagSet,
    registry.TagRemoved,
    registry.VersionDeprecated,
    registry.VersionRetired,
    VersionRestored,
)
_ENDED = (PHASE_RETIRED, PHASE_ARCHIVED)


def evolve_known_version(version: KnownVersion, event: Message, envelope: Fact) -> None:
    if version.retired and not isinstance(event, VersionRestored):
        return
    match event:
        case registry.VersionRegistered():
            _registered(version, event)
            version.author = event.author or envelope.actor.id
        case registry.StageChanged():
            # A lifecycle of the project's own may end in a move; the stage before is what it was.
            if event.to_phase in _ENDED:
                _retire(version, envelope)
            else:
                _reach(version, event.to_stage, event.to_phase)
        case registry.TagSet():
            version.tags[event.key] = event.value
        case registry.TagRemoved():
            version.tags.pop(event.key, None)
        case registry.VersionDeprecated():
            version.deprecated = True
        case registry.VersionRetired():
            _retire(version, envelope)
        case VersionRestored():
            version.retired = version.deprecated = False
            _reach(version, event.to_stage, event.to_phase)


def _registered(version: KnownVersion, event: registry.VersionRegistered) -> None:
    version.tags.update(event.tags)
    version.framework = event.framework
    version.artifact_sha256 = event.artifact.sha256
    version.artifact_format = event.artifact.format
    version.artifact_size_bytes = event.artifact.size_bytes
    version.file_sha256.extend(one.sha256 for one in event.artifact.files)
    version.origin_system = event.origin.system
    _reach(version, event.stage, event.phase)


def _retire(version: KnownVersion, envelope: Fact) -> None:
    version.retired = True
    version.retire_time.CopyFrom(envelope.recorded_at)


def _reach(version: KnownVersion, stage: str, phase: int) -> None:
    version.stage, version.phase = stage, phase  # type: ignore[assignment]
    if stage and stage not in version.stages:
        version.stages.append(stage)
    if phase != PHASE_UNSPECIFIED and phase not in version.phases:
        version.phases.append(phase)  # type: ignore[arg-type]


def version_of(resource: str) -> str:
    """The version that a resource is, or is below; empty for any other."""
    parts = resource.split("/")
    return "/".join(parts[:6]) if parts[2::2][:2] == ["models", "versions"] and len(parts) >= 6 else ""


def digests(version: KnownVersion) -> frozenset[str]:
    """Everything its artifact consists of, in the store that the registry names."""
    return frozenset(one for one in (version.artifact_sha256, *version.file_sha256) if one)


KNOWN_VERSION = kind(
    "registry",
    "projects/*/models/*/versions/#",
    KnownVersion,
    evolve_known_version,
    table="known_version",
    listens=HEARD,
)
