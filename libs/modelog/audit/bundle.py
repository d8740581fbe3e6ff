"""Reads an exported bundle: a tar of facts, their hashes, checkpoints, proofs and a manifest."""

import hashlib
import json
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from modelog.audit.report import Report
from modelog.audit.tree import leaf_hash

_PREFIX_BYTES = 4
_NAME, _GENERATION = 2 << 3 | 2, 3 << 3  # Tags of the two fields that are read.


class Bundle:
    """The files of a bundle by name; what cannot be read or differs from the manifest is reported."""

    def __init__(self, path: Path, report: Report) -> None:
        self._report = report
        self._tar = tarfile.open(path)  # noqa: SIM115 - closed by close().
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            for member in self._tar:
                if member.name in self._members:
                    report.found("FILE_UNEXPECTED", f"{member.name} is there twice", file=member.name)
                self._members[member.name] = member
        except tarfile.TarError as error:
            report.found("FILE_UNREADABLE", f"the tar breaks off: {error}")
        self.manifest: dict[str, Any] = self.json("manifest.json")
        self.size = 0

    def close(self) -> None:
        self._tar.close()

    def names(self, folder: str) -> list[str]:
        return sorted(name for name in self._members if name.startswith(folder))

    def read(self, name: str) -> bytes:
        """The bytes of a file; empty, and reported, when it is missing or broken."""
        member = self._members.get(name)
        try:
            stream = self._tar.extractfile(member) if member else None
            content = stream.read() if stream else None
        except (tarfile.TarError, OSError) as error:
            self._report.found("FILE_UNREADABLE", f"{name}: {error}", file=name)
            return b""
        if content is None:
            self._report.found("FILE_MISSING", f"{name} is missing", file=name)
            return b""
        return content

    def text(self, name: str) -> str:
        return self.read(name).decode(errors="replace")

    def rotations(self) -> list[str]:
        """The notes by which the log's keys introduce each other; none where that file is damaged, which was said."""
        try:
            keys = json.loads(self.read("policy.json"))["keys"] if "policy.json" in self._members else []
            return [str(one["rotation"]) for one in keys if "rotation" in one]
        except (ValueError, KeyError, TypeError):
            return []

    def edges(self) -> dict[str, list[bytes]]:
        """Hashes of what lies left and right of the exported facts; ValueError and its kin when they are damaged."""
        edges = self.json("log/edges.json")
        return {side: [bytes.fromhex(part) for part in edges[side]] for side in ("left", "right")}

    def says_what_is_inside(self) -> bool:
        """Takes the range and the size out of the manifest; reports when they make no sense."""
        first, last, size = (self.manifest.get(key) for key in ("from_revision", "to_revision", "size"))
        if not (
            isinstance(first, int) and isinstance(last, int) and isinstance(size, int) and 1 <= first <= last <= size
        ):
            text = "the manifest does not say which revisions are inside"
            self._report.found("FILE_UNREADABLE", text, file="manifest.json")
            return False
        self._report.from_revision, self._report.to_revision, self.size = first, last, size
        return True

    def json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(self.read(name) or b"{}")
            if not isinstance(value, dict):
                raise ValueError("not an object")
            return value
        except ValueError as error:
            self._report.found("FILE_UNREADABLE", f"{name}: {error}", file=name)
            return {}

    def compare_with_manifest(self) -> None:
        """Digests tell which file was damaged on its way; the signature is what tells whether the facts are true."""
        listed = self.manifest.get("files")
        listed = listed if isinstance(listed, dict) else {}
        for name in sorted(set(self._members) - set(listed) - {"manifest.json"}):
            self._report.found("FILE_UNEXPECTED", f"{name} is not in the manifest", file=name)
        for name, entry in sorted(listed.items()):
            digest = entry.get("sha256") if isinstance(entry, dict) else None
            if name not in self._members:
                self._report.found("FILE_MISSING", f"{name} is missing", file=name)
            elif hashlib.sha256(self.read(name)).hexdigest() != digest:
                self._report.found("FILE_CHANGED", f"{name} is not what the manifest says", file=name)


def payloads(data: bytes, known: Collection[bytes]) -> Iterator[bytes]:
    """The length-prefixed payloads of one file. `known` leaf hashes help to go on behind a damaged length."""
    if _frames_to_the_end(data):
        at = 0
        while at < len(data):
            end = at + _PREFIX_BYTES + int.from_bytes(data[at : at + _PREFIX_BYTES])
            yield data[at + _PREFIX_BYTES : end]
            at = end
        return
    yield from _between_damage(data, known)


def _frames_to_the_end(data: bytes) -> bool:
    at = 0
    while at + _PREFIX_BYTES <= len(data):
        at += _PREFIX_BYTES + int.from_bytes(data[at : at + _PREFIX_BYTES])
    return at == len(data)


def _between_damage(data: bytes, known: Collection[bytes]) -> Iterator[bytes]:
    at = damage = 0
    while at + _PREFIX_BYTES <= len(data):
        end = at + _PREFIX_BYTES + int.from_bytes(data[at : at + _PREFIX_BYTES])
        payload = data[at + _PREFIX_BYTES : end]
        if end > len(data) or leaf_hash(payload) not in known:
            at += 1
            continue
        if damage < at:
            yield data[damage:at]
        yield payload
        at = damage = end
    if damage < len(data):
        yield data[damage:]


Header = tuple[str, int]  # Name of the resource, generation.


def header(payload: bytes) -> Header | None:
    """Resource and generation of a serialized modelog.log.v1.Fact (fields 2 and 3), None when it cannot be read.

    Nearly all numbers are one byte long, and this runs for each fact: they are read without a call.
    """
    name, generation, at, end = "", 0, 0, len(payload)
    try:
        while at < end and not (name and generation):
            tag = payload[at]
            tag, at = (tag, at + 1) if tag < 128 else _varint(payload, at)
            value = payload[at]
            value, at = (value, at + 1) if value < 128 else _varint(payload, at)
            if tag & 7 == 2:
                if tag == _NAME:
                    name = payload[at : at + value].decode()
                at += value
            elif tag & 7 == 0:
                if tag == _GENERATION:
                    generation = value
            else:
                return None
    except (IndexError, UnicodeDecodeError):
        return None
    return (name, generation) if name and generation and at <= end else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = data[at] & 127, 7
    while data[at] & 128:
        at += 1
        value |= (data[at] & 127) << shift
        shift += 7
    return value, at + 1
