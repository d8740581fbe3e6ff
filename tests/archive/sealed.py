"""Looking into sealed records, and damaging them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from services.archive.sealing import image
from services.archive.sealing.contents import Image, read
from services.archive.sealing.objects import Objects


def layout(folder: Path) -> Image:
    """The record whose layout lies in a folder."""
    return Image(Objects(folder.parent), f"{folder.name}/")


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in the record, by its path inside."""
    contents = layout(folder)
    return {name: read(contents, name) for name in sorted(contents.names())}


def raw(folder: Path) -> dict[str, bytes]:
    """The layout, byte for byte."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def blob_path(folder: Path, name: str) -> Path:
    """Where a file of the record lies, or would lie."""
    index = json.loads((folder / image.INDEX).read_bytes())
    manifest: Any = json.loads((folder / _key(index["manifests"][0])).read_bytes())
    if name == "manifest.json":
        return folder / _key(manifest["config"])
    found = [one for one in manifest["layers"] if one["annotations"][image.TITLE] == name]
    return folder / (_key(found[0]) if found else f"blobs/{name}")


def damage(folder: Path, name: str, content: bytes | None) -> None:
    """Puts other content in place of a file, or takes it away; facts and proofs inside their tar."""
    if image.is_packed(name):
        path = blob_path(folder, image.EVIDENCE)
        files = image.unpacked(path.read_bytes())
        if content is None:
            del files[name]
        else:
            files[name] = content
        _overwrite(path, image.packed(files))
    elif content is None:
        blob_path(folder, name).unlink()
    else:
        _overwrite(blob_path(folder, name), content)


def _overwrite(path: Path, content: bytes) -> None:
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(content)


def _key(descriptor: Any) -> str:
    return image.blob_key(descriptor["digest"].removeprefix("sha256:"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
