"""How a folder has one digest: that of the list of its files, each with its own."""

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

MOST_FILES = 256
_HEADER = "modelog folder 1"
_LINE = re.compile(r"([0-9a-f]{64}) (\d{1,16}) (.{1,512})")


class Listed(Protocol):
    """An ArtifactFile, or what looks like one."""

    path: str
    sha256: str
    size_bytes: int


def text_of(files: Sequence[Listed]) -> bytes:
    """The list: a header, then `<sha256> <bytes> <path>` a line, in the order of the paths."""
    lines = [f"{one.sha256} {one.size_bytes} {one.path}" for one in sorted(files, key=lambda one: one.path)]
    return "\n".join([_HEADER, *lines, ""]).encode()


def digest_of(files: Sequence[Listed]) -> str:
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
    """Why a path is not one of a file inside the folder; empty when it is. The same everywhere, so `\\` and `:` are not."""
    parts = path.split("/")
    if any(one in ("", ".", "..") for one in parts):
        return "it is not a path inside the folder"
    if any(ord(one) < 32 or one in '\\:' for one in path) or path != path.strip():
        return "it has characters that not every system has in names"
    return ""
