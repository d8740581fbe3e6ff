"""What a project's policy says of artifacts and of the code that made them."""

from collections.abc import Iterable

from kernel.errors import NotAllowedNow, NotFound, invalid_field
from modelog.artifacts.folders import MOST_FILES, digest_of, fault_of
from modelog.artifacts.formats import DESCRIPTIONS, holds_pickles
from modelog.artifacts.globals import DANGEROUS, LISTED, UNLISTED, permits, rate
from modelog.registry.v1 import events_pb2 as facts
from modelog.registry.v1.artifacts_pb2 import (
    DIRTY_TREE_MARK,
    DIRTY_TREE_REFUSE,
    SCAN_VERDICT_DANGEROUS,
    SCAN_VERDICT_INCOMPLETE,
    PickleScan,
    VersionOrigin,
)
from modelog.registry.v1.types_pb2 import Artifact, GitSource, Policy, Version
from services.registry.domain.lifecycle import LAST_PHASES

DIRTY = "dirty_tree"


def check_artifact(artifact: Artifact, policy: Policy) -> None:
    """Invalid for an artifact that contradicts itself; NotAllowedNow for one that the policy does not admit."""
    _check_files(artifact)
    allowed = {one.lower() for one in policy.allowed_formats}
    pickles = []
    for name in _formats(artifact):
        if holds_pickles(name):
            pickles.append(name)
            if name not in allowed:
                raise NotAllowedNow(
                    "PICKLE_NEEDS_POLICY",
                    f"loading {name} may run code out of the file: save it as ONNX, safetensors or skops, or have the "
                    f"project's policy name {name} in allowed_formats",
                )
        elif allowed and name not in allowed:
            known = ", ".join(sorted(allowed))
            raise NotAllowedNow("FORMAT_NOT_ALLOWED", f"the project's policy allows {known}, and not {name}")
    if pickles and not artifact.HasField("scan"):
        raise NotAllowedNow(
            "PICKLE_NOT_SCANNED",
            f"{pickles[0]} needs a list of what it names: register it with the SDK or `modelog versions register`",
        )
    if artifact.HasField("scan"):
        _check_scan(artifact, policy)


def _formats(artifact: Artifact) -> list[str]:
    """What the artifact is and whatever is inside of it. A folder is what its files are, but for what describes it."""
    named = [
        *artifact.contained_formats,
        *(one.format for one in artifact.files if one.format.lower() not in DESCRIPTIONS),
    ]
    whole = [] if artifact.files else [artifact.format]
    return list(dict.fromkeys(one.lower() for one in (*whole, *named) if one))


def _check_files(artifact: Artifact) -> None:
    if not artifact.files:
        return
    paths = [one.path for one in artifact.files]
    if len(set(paths)) != len(paths) or len(paths) > MOST_FILES:
        raise invalid_field("artifact.files", "a path is there twice", "DUPLICATE_PATH")
    for index, path in enumerate(paths):
        if fault := fault_of(path):
            raise invalid_field(f"artifact.files[{index}].path", fault, "PATH_FORMAT")
    if digest_of(artifact.files) != artifact.sha256:
        raise invalid_field("artifact.sha256", "it is not the digest of the list of files", "DIGEST_MISMATCH")
    if sum(one.size_bytes for one in artifact.files) != artifact.size_bytes:
        raise invalid_field("artifact.size_bytes", "it is not the sum of the files' lengths", "SIZE_MISMATCH")


def _check_scan(artifact: Artifact, policy: Policy) -> None:
    """What the scan found is judged here once more, so that an old or friendly scanner does not decide it."""
    scan = artifact.scan
    if scan.sha256 != artifact.sha256:
        raise invalid_field("artifact.scan.sha256", "it is a scan of another artifact", "SCAN_OF_OTHER")
    if scan.verdict == SCAN_VERDICT_INCOMPLETE:
        raise NotAllowedNow("PICKLE_NOT_SAFE", f"not all of it could be looked at: {scan.detail or 'no reason given'}")
    bad = _named(scan, DANGEROUS)
    if bad or scan.verdict == SCAN_VERDICT_DANGEROUS:
        told = ", ".join(bad) or scan.detail or "something that runs code"
        raise NotAllowedNow("PICKLE_NOT_SAFE", f"loading it would run code: it names {told}")
    unlisted = [one for one in _named(scan, UNLISTED) if not permits(policy.allowed_globals, *one.rsplit(".", 1))]
    if unlisted:
        raise NotAllowedNow(
            "PICKLE_NOT_SAFE",
            f"nobody listed what it names: {', '.join(unlisted[:8])}; have the project's policy list it in "
            "allowed_globals once somebody has looked",
            metadata={"globals": " ".join(unlisted)},
        )


def _named(scan: PickleScan, rating: int) -> list[str]:
    """The globals that are rated so: the worse of what the scan says and of what is known here."""
    rated = ((one, max(one.rating or LISTED, rate(one.module, one.name))) for one in scan.globals)
    return [f"{one.module}.{one.name}" for one, found in rated if found == rating]


def marks_of(source: GitSource, policy: Policy) -> list[str]:
    """What has to be seen of a version made by this code; NotAllowedNow where the policy refuses it."""
    if policy.require_commit and not source.commit:
        raise NotAllowedNow(
            "COMMIT_REQUIRED",
            "the project's policy wants to know the commit: register from inside the working tree",
        )
    if source.dirty and policy.dirty_tree == DIRTY_TREE_REFUSE:
        raise NotAllowedNow(
            "DIRTY_TREE", "the code had changes that are not committed: commit them, train again and register then"
        )
    return [DIRTY] if source.dirty and policy.dirty_tree == DIRTY_TREE_MARK else []


def check_globals(patterns: Iterable[str]) -> None:
    """Invalid for a pattern of allowed_globals that lists nothing, everything, or what is known to run code."""
    for index, pattern in enumerate(patterns):
        field = f"policy.allowed_globals[{index}]"
        module, dot, name = pattern.rpartition(".")
        if not dot or not module or not name or "*" in module or (name != "*" and not name.isidentifier()):
            raise invalid_field(field, f"{pattern!r} is not package.module.name or package.module.*", "GLOBAL_FORMAT")
        if rate(module, name) == DANGEROUS:
            raise invalid_field(field, f"{pattern} is known to run code", "DANGEROUS_GLOBAL")


def copied(source: Version, named: str) -> facts.VersionRegistered:
    """What a copy is registered with. What others measured, approved and labelled there is not taken along."""
    if not source.name:
        raise NotFound("VERSION_NOT_FOUND", f"there is no {named} to copy")
    if source.phase in LAST_PHASES:
        raise NotAllowedNow("VERSION_RETIRED", f"{named} is retired; copy a living version")
    return facts.VersionRegistered(
        artifact=source.artifact,
        signature=source.signature,
        source=source.source,
        training_data=source.training_data,
        hyperparameters=source.hyperparameters,
        framework=source.framework,
        author=source.author,
        documentation=source.documentation,
        copied_from=VersionOrigin(version=source.name, revision=source.revision, makers=source.makers),
    )
