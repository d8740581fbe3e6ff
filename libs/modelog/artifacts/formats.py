"""What a file is, by its content; by its name only where the content says nothing. Nothing is loaded."""

import json
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

# Formats whose loader can run what the file says.
PICKLE_LIKE = frozenset("pickle pkl p pck joblib torch pt pth ckpt cloudpickle dill npy-object npz-object".split())

# Text beside a model that says something about it, and that no loader of models takes for one.
DESCRIPTIONS = frozenset("mlmodel md txt yaml yml toml cfg license".split())

_MAGIC = (
    (0, b"GGUF", "gguf"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"PAR1", "parquet"),
    (0, b"CBM1", "catboost"),
    (0, b"tree\nversion=", "lightgbm"),
    (4, b"TFL3", "tflite"),
    (257, b"ustar", "tar"),
)
_HEAD_BYTES = 512
_JSON_BYTES = 64 << 20
_MOST_MEMBERS = 100_000
# Fields of onnx.ModelProto: number -> wire type. A model has at least its version of the format, and a graph.
_ONNX = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_ONNX_VERSION, _ONNX_GRAPH = 1, 7
_ONNX_MOST_FIELDS = 100_000
# So many opcodes in a row are no accident.
_FEW_OPCODES = 4


def holds_pickles(name: str) -> bool:
    """Whether loading a file of this format may run code out of it."""
    return name.lower() in PICKLE_LIKE


def detect(path: Path) -> str:
    """For example `onnx`, `safetensors`, `torch`, `pickle`; else the name's suffix; else `binary`."""
    with path.open("rb") as file:
        found = of_content(file, path.stat().st_size)
    if not found and path.name.lower() in DESCRIPTIONS:
        return path.name.lower()
    return found or path.suffix.lstrip(".").lower() or "binary"


def of_content(file: IO[bytes], size_bytes: int) -> str:
    """The format that the content alone tells; empty when it tells none."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    for place, magic, name in _MAGIC:
        if head[place : place + len(magic)] == magic:
            return name
    if head.startswith(b"\x93NUMPY"):
        return "npy-object" if b"|O" in head else "npy"
    if zipfile.is_zipfile(file):
        return _of_zip(file)
    if _is_safetensors(file, head, size_bytes):
        return "safetensors"
    if head[:1] in (b"{", b"["):
        return _of_json(file, size_bytes)
    if _is_onnx(file, size_bytes):
        return "onnx"
    if b"<PMML" in head:
        return "pmml"
    return _of_pickle(file, size_bytes)


def _of_zip(file: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()[:_MOST_MEMBERS]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "zip"
    lasts = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in lasts or any(name.endswith((".pkl", ".pickle")) for name in names):
        return "torch" if "data.pkl" in lasts else "pickle"
    if "schema.json" in names:
        return "skops"
    if {"metadata.json", "config.json"} <= lasts:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return "zip"


def _is_safetensors(file: IO[bytes], head: bytes, size_bytes: int) -> bool:
    """Eight bytes of length, then a table of tensors as JSON."""
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= min(size_bytes - 8, _JSON_BYTES):
        return False
    file.seek(8)
    table = _parsed(file.read(length))
    return isinstance(table, dict) and all(
        name == "__metadata__" or (isinstance(one, dict) and {"dtype", "shape", "data_offsets"} <= one.keys())
        for name, one in table.items()
    )


def _of_json(file: IO[bytes], size_bytes: int) -> str:
    if size_bytes > _JSON_BYTES:
        return ""
    file.seek(0)
    value = _parsed(file.read())
    if isinstance(value, dict) and "learner" in value:
        return "xgboost"
    return "json" if isinstance(value, dict | list) else ""


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_onnx(file: IO[bytes], size_bytes: int) -> bool:
    """ONNX has no magic number: its outermost fields have to be those of a model, to the very end of the file."""
    place, seen = 0, set[int]()
    for _ in range(_ONNX_MOST_FIELDS):
        if place == size_bytes:
            return {_ONNX_VERSION, _ONNX_GRAPH} <= seen
        file.seek(place)
        head = file.read(20)
        tag, used = _varint(head, 0)
        number, wire = tag >> 3, tag & 7
        if not used or _ONNX.get(number) != wire:
            return False
        value, after = _varint(head, used)
        place += after + (value if wire else 0)
        if not after or place > size_bytes:
            return False
        seen.add(number)
    return False


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """The number at `start` and where it ends; the end is 0 when there is none."""
    value = 0
    for shift, byte in enumerate(data[start : start + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, start + shift + 1
    return 0, 0


def _of_pickle(file: IO[bytes], size_bytes: int) -> str:
    """Pickles have no magic number before protocol 2: what can be read as one to its STOP is one."""
    from modelog.artifacts.pickles import Listing, Unreadable, list_one

    listing = Listing()
    file.seek(0)
    proto = file.read(2)
    certain = len(proto) == 2 and proto[0] == 0x80 and 2 <= proto[1] <= 5
    file.seek(0)
    try:
        list_one(file, size_bytes, listing)
    except Unreadable:
        if not certain and not _names_code(listing):
            return ""
    joblib = any(module.startswith("joblib.") for module, _ in listing.globals)
    return "joblib" if joblib else "pickle" if listing.opcodes > 1 or certain else ""


def _names_code(listing: Any) -> bool:
    """Whether what broke off is a pickle all the same: plain text that begins with `c` or `i` names something too."""
    from modelog.artifacts.globals import UNLISTED, rate

    dotted = [one for one in listing.globals if all(part.isidentifier() for part in ".".join(one).split("."))]
    return any(rate(*one) != UNLISTED for one in dotted) or (bool(dotted) and listing.opcodes >= _FEW_OPCODES)
