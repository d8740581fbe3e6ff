"""How a folder has one digest: that of the list of its files, each with its own."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MOST_FILES = 256
_HEADER = "modelog folder 1"
_CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) (\d{1,16}) (.{1,512})")


class File(NamedTuple):
    """A file of a folder, with the fields of an ArtifactFile."""

    path: str
    sha256: str
    size_bytes: int
    format: str = ""


def files_of(folder: Path, *, passed: Callable[[int], None] = lambda _: None) -> list[File]:
    """Every file below a folder, read once; `passed` is told how many bytes were. ValueError for what has no digest."""
    from modelog.artifacts.formats import detect

    found = []
    for path in inside(folder):
        digest, size_bytes = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                passed(len(chunk))
        found.append(File(path.relative_to(folder).as_posix(), digest.hexdigest(), size_bytes, detect(path)))
    return sorted(found)


def inside(folder: Path) -> list[Path]:
    """The files below a folder. ValueError for links, names that not every system has, none, or more than 256."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ValueError(f"{name} is a link: put the file itself into the folder")
        if path.is_file():
            if fault := fault_of(name):
                raise ValueError(f"{name!r}: {fault}; rename it")
            found.append(path)
    if not found:
        raise ValueError(f"{folder} has no files")
    if len(found) > MOST_FILES:
        raise ValueError(f"{folder} has {len(found)} files, {MOST_FILES} are allowed: pack some into an archive")
    return found


def text_of(files: Sequence[Any]) -> bytes:
    """The list: a header, then `<sha256> <bytes> <path>` a line, in the order of the paths."""
    lines = [f"{one.sha256} {one.size_bytes} {one.path}" for one in sorted(files, key=lambda one: one.path)]
    return "\n".join([_HEADER, *lines, ""]).encode()


def digest_of(files: Sequence[Any]) -> str:
    """SHA-256 of the list: the digest of the folder."""
    return hashlib.sha256(text_of(files)).hexdigest()


def read(text: bytes) -> list[tuple[str, str, int]]:
    """Path, digest and length of every file in a list; ValueError when it is none, or leads out of its folder."""
    header, *lines = text.decode().split("\n")
    if header != _HEADER or not lines or lines.pop():
        raise ValueError("not the list of a folder's files")
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or fault_of(match[3]):
            raise ValueError(f"the list of files has a line that names no file inside the folder: {line[:80]!r}")
        found.append((match[3], match[1], int(match[2])))
    return found


def fault_of(path: str) -> str:
    """Why a path is none of a file inside the folder, on any system; empty when it is one."""
    parts = path.split("/")
    if any(one in ("", ".", "..") for one in parts):
        return "it is not a path inside the folder"
    if any(ord(one) < 32 or one in "\\:" for one in path) or path != path.strip():
        return "it has characters that not every system has in names"
    return ""
