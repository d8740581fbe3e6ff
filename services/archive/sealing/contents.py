"""What lies in a sealed record, whichever form it was sealed in. Blocking."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from modelog.sdk.store import file_chunks
from services.archive.sealing import image
from services.archive.sealing.content import MANIFEST
from services.archive.sealing.objects import Objects


class Wrong(NamedTuple):
    """One thing that is wrong: UPPER_SNAKE reason, path inside the record, a sentence."""

    reason: str
    path: str
    message: str


class Contents(Protocol):
    """Files of a record by their names inside. OSError where one cannot be read."""

    def names(self) -> set[str]:
        """Everything there is, the manifest included."""
        ...

    def has(self, name: str) -> bool: ...

    def chunks(self, name: str) -> Iterator[bytes]: ...

    def remove(self, name: str) -> None:
        """Erases one file for good."""
        ...

    def wrong(self) -> list[Wrong]:
        """What is wrong with what ties the files together."""
        ...


def read(contents: Contents, name: str) -> bytes:
    return b"".join(contents.chunks(name))


def digest(contents: Contents, name: str) -> str:
    """Hex SHA-256, read part by part."""
    found = hashlib.sha256()
    for chunk in contents.chunks(name):
        found.update(chunk)
    return found.hexdigest()


class Folder:
    """The first form: a folder of plain files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> set[str]:
        return {str(one.relative_to(self._folder)) for one in self._folder.rglob("*") if one.is_file()}

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def chunks(self, name: str) -> Iterator[bytes]:
        with (self._folder / name).open("rb") as file:
            yield from file_chunks(file)

    def remove(self, name: str) -> None:
        Objects(self._folder).remove(name)

    def wrong(self) -> list[Wrong]:
        return []


class Image:
    """The present form: an OCI image layout."""

    def __init__(self, objects: Objects, below: str) -> None:
        """below: prefix of the layout's keys, with a slash at its end."""
        self._objects = objects
        self._below = below

    @property
    def sha256(self) -> str:
        """Digest of the image's manifest, as the index names it."""
        return _digest_of(self._index["manifests"][0])

    @cached_property
    def layers(self) -> dict[str, dict[str, Any]]:
        """Descriptors by title."""
        return {one["annotations"][image.TITLE]: one for one in self._manifest["layers"]}

    def names(self) -> set[str]:
        """Blobs that nothing refers to are told by their keys."""
        known = {
            image.LAYOUT,
            image.INDEX,
            image.blob_key(self.sha256),
            image.blob_key(_digest_of(self._manifest["config"])),
            *(image.blob_key(_digest_of(one)) for one in self.layers.values()),
        }
        found = {one.removeprefix(self._below) for one in self._objects.keys(self._below)}
        present = {title for title, one in self.layers.items() if image.blob_key(_digest_of(one)) in found}
        return {MANIFEST, *(present - {image.EVIDENCE}), *self._packed, *(found - known)}

    def has(self, name: str) -> bool:
        if image.is_packed(name):
            return name in self._packed
        return self._objects.has(self._below + self._key(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        if not image.is_packed(name):
            yield from self._objects.chunks(self._below + self._key(name))
        elif name in self._packed:
            yield self._packed[name]
        else:
            raise FileNotFoundError(f"{image.EVIDENCE} holds no {name}")

    def remove(self, name: str) -> None:
        if image.is_packed(name):
            raise PermissionError(f"{name} belongs to what is never erased")
        self._objects.remove(self._below + self._key(name))

    def wrong(self) -> list[Wrong]:
        found = []
        for title, key in (
            ("image", image.blob_key(self.sha256)),
            (MANIFEST, self._key(MANIFEST)),
            (image.EVIDENCE, self._key(image.EVIDENCE)),
        ):
            try:
                content = self._objects.get(self._below + key)
            except OSError as error:
                found.append(Wrong("FILE_MISSING", title, str(error)))
                continue
            if hashlib.sha256(content).hexdigest() != key.rpartition("/")[2]:
                found.append(Wrong("FILE_CHANGED", title, "its digest is not the one that the image names"))
        return found

    def _key(self, name: str) -> str:
        if name == MANIFEST:
            return image.blob_key(_digest_of(self._manifest["config"]))
        if name not in self.layers:
            raise FileNotFoundError(f"the image has no {name}")
        return image.blob_key(_digest_of(self.layers[name]))

    @cached_property
    def _index(self) -> dict[str, Any]:
        return _parsed(self._objects.get(self._below + image.INDEX), image.INDEX)

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return _parsed(self._objects.get(self._below + image.blob_key(self.sha256)), "the image's manifest")

    @cached_property
    def _packed(self) -> dict[str, bytes]:
        try:
            return image.unpacked(self._objects.get(self._below + self._key(image.EVIDENCE)))
        except (tarfile.TarError, FileNotFoundError):
            return {}


def _digest_of(descriptor: dict[str, Any]) -> str:
    return str(descriptor["digest"]).removeprefix("sha256:")


def _parsed(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise OSError(f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise OSError(f"{what} is no JSON object")
    return value
