"""A version as an image: what replicas run in, and one layer with the artifact. The same inputs make the same digest.

The archive is that of `docker save` (https://github.com/moby/moby/blob/master/image/spec/spec.md), with only the layer
that the engine does not have: it finds the others by their digests. Building it ourselves, and not by a Dockerfile, is
what makes it reproducible: an engine's own builds say when they were made. deploy/serving.Dockerfile makes the same
files.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from services.deployment.drivers.docker.errors import NotBuilt
from services.deployment.drivers.docker.names import DIGEST, INSTALLATION, REVISION, VERSION, Facts
from services.deployment.drivers.port import Workload
from services.deployment.inference.order import ArtifactRefused

ARTIFACT = "/model/artifact"
_CHUNK_BYTES = 1 << 20
# What the image below says of how to start it.
_KEPT = ("Env", "Entrypoint", "Cmd", "WorkingDir", "User", "ExposedPorts")
_OCI = "org.opencontainers.image"


@dataclass(frozen=True)
class Packed:
    """An archive for `Engine.load`. digest: `sha256:<hex>`, which the image has wherever it is loaded."""

    archive: Path
    digest: str


def recipe_of(workload: Workload, image: str) -> str:
    """What tells images of one version apart: the artifact and what they are built on."""
    return hashlib.sha256(f"{workload.sha256} {image}".encode()).hexdigest()


def pack(workload: Workload, artifact: Path, base: Facts, *, tag: str, installation: str, folder: Path) -> Packed:
    """Reads the artifact once, so that what was verified is what goes in.

    base: the image below, as the engine describes it. ArtifactRefused when the bytes are not the approved ones.
    """
    with tempfile.TemporaryFile(dir=folder) as layer:
        layer_digest, layer_size = _write_layer(layer, artifact, workload.sha256)
        config = _config(workload, base, layer_digest, installation)
        content = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        below = _layers(base)
        paths = [*(f"{one.partition(':')[2]}/layer.tar" for one in below), f"{layer_digest}/layer.tar"]
        manifest = [{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": paths}]
        archive = folder / f"{digest}.tar"
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as into:
            for name, text in (("manifest.json", json.dumps(manifest).encode()), (f"{digest}.json", content)):
                into.addfile(_entry(name, len(text)), io.BytesIO(text))
            layer.seek(0)
            into.addfile(_entry(paths[-1], layer_size), layer)
    return Packed(archive, f"sha256:{digest}")


def _write_layer(layer: IO[bytes], artifact: Path, sha256: str) -> tuple[str, int]:
    """The digest and the size of the layer."""
    with artifact.open("rb") as source, tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as into:
        size = artifact.stat().st_size
        folder = _entry("model", 0)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        into.addfile(folder)
        reading = _Hashed(source)
        try:
            into.addfile(_entry("model/artifact", size), reading)
        except OSError as error:  # It has become shorter under our hands.
            raise ArtifactRefused(f"the artifact changes while it is read: {error}") from error
    if reading.digest.hexdigest() != sha256:
        raise ArtifactRefused(f"the artifact has digest {reading.digest.hexdigest()}, but {sha256} was approved")
    layer.seek(0)
    digest = hashlib.sha256()
    while part := layer.read(_CHUNK_BYTES):
        digest.update(part)
    return digest.hexdigest(), layer.tell()


class _Hashed(io.RawIOBase):
    """Passes a file on and takes its digest on the way."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        part = self._source.read(size)
        self.digest.update(part)
        return part


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Of nobody, of no time, for everybody to read: nothing of this machine gets into a digest."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o444, 0
    return entry


def labels_of(workload: Workload, base: Facts, installation: str) -> dict[str, str]:
    """What people and tools read of an image. Nothing of the endpoint: images of one version are one image."""
    _, _, _, model, _, number = workload.key.version.split("/")
    return {
        f"{_OCI}.title": model,
        f"{_OCI}.version": number,
        f"{_OCI}.revision": str(workload.revision),
        f"{_OCI}.base.digest": str(base["Id"]),
        INSTALLATION: installation,
        VERSION: workload.key.version,
        DIGEST: workload.sha256,
        REVISION: str(workload.revision),
    }


def _config(workload: Workload, base: Facts, layer_digest: str, installation: str) -> dict[str, Any]:
    below = _layers(base)
    kept: Mapping[str, Any] = base.get("Config") or {}
    own = {name: kept[name] for name in _KEPT if kept.get(name)}
    labels = {**(kept.get("Labels") or {}), **labels_of(workload, base, installation)}
    return {
        "architecture": base["Architecture"],
        "os": base["Os"],
        "created": base["Created"],
        "config": {**own, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*below, f"sha256:{layer_digest}"]},
        "history": [
            *({"created": base["Created"], "created_by": str(base["Id"])} for _ in below),
            {"created": base["Created"], "created_by": f"modelog: {workload.key.version}"},
        ],
    }


def _layers(base: Facts) -> list[str]:
    layers = (base.get("RootFS") or {}).get("Layers")
    if not layers:
        raise NotBuilt("the image that replicas run in has no layers; build it from deploy/serving.Dockerfile")
    return list(layers)
