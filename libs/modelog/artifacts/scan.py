"""Looks through an artifact for pickles, also inside archives, and lists what they name. Nothing is loaded.

What a hostile file can make it do is limited: so many opcodes, members, bytes unpacked, archives inside archives.
Whatever lies beyond is not guessed at: the verdict is then INCOMPLETE.
"""

import bz2
import gzip
import hashlib
import lzma
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from modelog.artifacts import formats
from modelog.artifacts.globals import DANGEROUS, LISTED, rate
from modelog.artifacts.pickles import Listing, Unreadable, list_one

if TYPE_CHECKING:
    from modelog.registry.v1.artifacts_pb2 import PickleScan

_DEEPEST = 4
_MOST_MEMBERS = 10_000
_MOST_UNPACKED_BYTES = 1 << 30
_MOST_PICKLES = 10_000
_MOST_SECOND_BYTES = 64 << 20
_MOST_SECOND_OPCODES = 1_000_000
_IN_MEMORY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_PICKLE_NAMES = (".pkl", ".pickle", ".p", ".pck", ".joblib", ".pt", ".pth", ".ckpt", ".dill")
_COMPRESSED: dict[str, Callable[[Any], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
_CLEAN, _UNLISTED, _DANGEROUS, _INCOMPLETE = 1, 2, 3, 4
_BROKEN = (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
           NotImplementedError, RuntimeError)  # fmt: skip


@dataclass
class _Found:
    """What was seen so far, over all files of an artifact."""

    listing: Listing = field(default_factory=Listing)
    problems: list[str] = field(default_factory=list)
    formats: dict[str, None] = field(default_factory=dict)
    alarms: set[str] = field(default_factory=set)
    unpacked_bytes: int = 0
    members: int = 0


def scan(path: Path, *, sha256: str = "") -> "tuple[PickleScan | None, list[str]]":
    """What the pickles in a file or folder name, None when there are none, and the formats of what is inside archives.

    sha256: the artifact's digest; computed from the file when not given.
    """
    found = _Found()
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file() and not one.is_symlink():
            with one.open("rb") as file:
                _look(file, one.stat().st_size, one.name, 0, found)
    pickles = found.listing.pickles or found.listing.globals or found.problems
    inside = sorted(found.formats)[:32]
    if not pickles:
        return None, inside
    return _result(found, sha256 or _digest(path)), inside


def _look(file: IO[bytes], size_bytes: int, name: str, depth: int, found: _Found) -> None:
    kind = formats.of_content(file, size_bytes)
    if depth and kind:
        found.formats.setdefault(kind)
    zipped = zipfile.is_zipfile(file)
    if depth > _DEEPEST:
        found.problems.append(f"{name}: an archive inside of {_DEEPEST} others")
    elif kind in ("npy-object", "npy"):
        _numpy(file, size_bytes, name, found)
    elif kind == "7z":
        found.problems.append(f"{name}: what is inside a 7z archive is not looked at")
    elif zipped and not _begins_as_zip(file):  # Something else in front, which another loader would take it for.
        _list(file, size_bytes, name, found)
    elif not zipped and _begins_as_zip(file):
        found.problems.append(f"{name}: begins as a zip archive and is none")
    elif members := _members(file, kind, name, found):
        _unpack(members, name, depth, found)
    elif kind in ("pickle", "joblib") or (not kind and name.lower().endswith(_PICKLE_NAMES)):
        _list(file, size_bytes, name, found)


def _members(file: IO[bytes], kind: str, name: str, found: _Found) -> "Iterator[tuple[str, Any]] | None":
    """What is packed in an archive or a compressed file; None when it is neither."""
    if zipfile.is_zipfile(file):
        return _zip_members(file, found)
    if kind == "tar":
        return _tar_members(file)
    file.seek(0)
    if kind in _COMPRESSED:
        return iter([(name, _COMPRESSED[kind](file))])
    return iter([(name, _Inflated(file))]) if not kind and _is_zlib(file) else None


def _list(file: IO[bytes], size_bytes: int, name: str, found: _Found, start: int = 0) -> None:
    """All pickles of a file: one behind the other, to its end."""
    file.seek(start)
    before, whole = found.listing.opcodes, True
    try:
        while file.tell() < size_bytes:
            if found.listing.pickles >= _MOST_PICKLES:
                raise Unreadable(f"more than {_MOST_PICKLES} pickles")
            list_one(file, size_bytes, found.listing)
    except Unreadable as error:
        whole = False
        found.problems.append(f"{name}: {error}")
    # picklescan holds all opcodes at once, so it is asked only where there are few of them.
    few = whole and found.listing.opcodes - before <= _MOST_SECOND_OPCODES and size_bytes - start <= _MOST_SECOND_BYTES
    if few or size_bytes - start <= _MOST_SECOND_OPCODES:
        file.seek(start)
        _ask_picklescan(file.read(), name, found)


def _numpy(file: IO[bytes], size_bytes: int, name: str, found: _Found) -> None:
    """An array of objects is a pickle behind the header."""
    file.seek(6)
    major = file.read(2)[:1]
    width = 2 if major == b"\x01" else 4
    length = int.from_bytes(file.read(width), "little")
    header = file.read(min(length, 1 << 16))
    if b"O" in header:  # `|O`, or a record with a field of objects.
        _list(file, size_bytes, name, found, start=8 + width + length)


def _unpack(members: "Iterator[tuple[str, Any]]", name: str, depth: int, found: _Found) -> None:
    """Looks at each member of an archive, unpacked into a temporary file that has no name."""
    try:
        for inner, packed in members:
            found.members += 1
            if found.members > _MOST_MEMBERS:
                raise Unreadable(f"more than {_MOST_MEMBERS} members")
            with packed, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as unpacked:
                size_bytes = _copy(packed, unpacked, found)
                _look(unpacked, size_bytes, f"{name}:{inner}", depth + 1, found)
    except Unreadable as error:
        found.problems.append(f"{name}: {error}")
    except _BROKEN as error:
        found.problems.append(f"{name}: cannot be unpacked: {str(error)[:100]}")


def _copy(packed: Any, unpacked: Any, found: _Found) -> int:
    size_bytes = 0
    while chunk := packed.read(_CHUNK_BYTES):
        size_bytes += len(chunk)
        found.unpacked_bytes += len(chunk)
        if found.unpacked_bytes > _MOST_UNPACKED_BYTES:
            raise Unreadable(f"more than {_MOST_UNPACKED_BYTES} bytes unpacked")
        unpacked.write(chunk)
    return size_bytes


def _zip_members(file: IO[bytes], found: _Found) -> "Iterator[tuple[str, Any]]":
    """Tensors of a torch archive, which are raw and large, are told by their place and not unpacked."""
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        roots = {one.filename.removesuffix("data.pkl") for one in entries if one.filename.endswith("data.pkl")}
        for entry in entries:
            raw = any(entry.filename.startswith(f"{root}data/") for root in roots)
            if raw and entry.compress_type == zipfile.ZIP_STORED and entry.filename.rpartition("/")[2].isdecimal():
                continue
            if entry.flag_bits & 1:
                found.problems.append(f"{entry.filename}: encrypted")
            elif not entry.is_dir():
                yield entry.filename, archive.open(entry)


def _tar_members(file: IO[bytes]) -> "Iterator[tuple[str, Any]]":
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for entry in archive:
            packed = archive.extractfile(entry) if entry.isfile() else None
            if packed is not None:
                yield entry.name, packed


def _begins_as_zip(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(2) == b"PK"


def _is_zlib(file: IO[bytes]) -> bool:
    file.seek(0)
    head = file.read(2)
    return len(head) == 2 and head[0] == 0x78 and int.from_bytes(head) % 31 == 0


class _Inflated:
    """A zlib stream, read in parts: what joblib writes when it compresses."""

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0)
        self._file, self._inflate = file, zlib.decompressobj()

    def read(self, count: int) -> bytes:
        while not self._inflate.eof:
            raw = self._inflate.unconsumed_tail or self._file.read(_CHUNK_BYTES)
            if not raw:
                raise zlib.error("the stream ends in the middle")
            if inflated := self._inflate.decompress(raw, count):
                return inflated
        return b""

    def __enter__(self) -> "_Inflated":
        return self

    def __exit__(self, *_error: object) -> None:
        self._inflate.flush(1)


def _ask_picklescan(data: bytes, name: str, found: _Found) -> None:
    """A second opinion, where it is installed; it too only reads opcodes."""
    with suppress(ImportError):
        import io
        import logging

        from picklescan.scanner import SafetyLevel, scan_pickle_bytes

        logging.getLogger("picklescan").setLevel(logging.CRITICAL)
        try:
            told = scan_pickle_bytes(io.BytesIO(data), name)
        except Exception as error:
            found.problems.append(f"{name}: picklescan gave up: {type(error).__name__}")
            return
        found.alarms |= {f"{one.module}.{one.name}" for one in told.globals if one.safety is SafetyLevel.Dangerous}


def _result(found: _Found, sha256: str) -> "PickleScan":
    from modelog.registry.v1.artifacts_pb2 import PickleScan, ScannedGlobal

    rated = sorted(((rate(*one), *one) for one in found.listing.globals), key=lambda one: (-one[0], *one[1:]))
    alarms = sorted(found.alarms)
    worst = max((one[0] for one in rated), default=LISTED)
    verdict = (
        _DANGEROUS if alarms or worst == DANGEROUS
        else _INCOMPLETE if found.problems
        else _UNLISTED if worst > LISTED
        else _CLEAN
    )  # fmt: skip
    details = [*(f"picklescan warns of {one}" for one in alarms), *found.problems]
    return PickleScan(
        sha256=sha256,
        verdict=verdict,  # type: ignore[arg-type]
        globals=[
            ScannedGlobal(rating=rating, module=_plain(module), name=_plain(name))  # type: ignore[arg-type]
            for rating, module, name in rated[:256]
        ],
        scanners=_scanners(),
        pickles=found.listing.pickles,
        opcodes=found.listing.opcodes,
        detail=_plain("; ".join(details))[:1024],
    )


def _plain(text: str) -> str:
    """Text that protobuf takes: a pickle may hold halves of characters."""
    return text.encode(errors="replace").decode()


def _scanners() -> list[dict[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    known = [{"name": "pickletools", "release": ".".join(map(str, sys.version_info[:3]))}]
    for name in ("modelog", "picklescan"):
        with suppress(PackageNotFoundError):
            known.append({"name": name, "release": version(name)})
    return known


def _digest(path: Path) -> str:
    if path.is_dir():
        from modelog.artifacts.folders import digest_of, files_of

        return digest_of(files_of(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
