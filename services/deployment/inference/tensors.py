"""Tensors as bytes: the raw contents of the protocol over gRPC, which its binary extension over HTTP shares.

Elements lie row by row, little endian; an element of BYTES has its length before it, in four bytes.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.deployment.inference.model import BadInput

DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
_LENGTH = struct.Struct("<I")


def check(name: str, datatype: str, shape: Sequence[Any]) -> None:
    """BadInput unless the datatype is one of the protocol's and the shape a list of sizes."""
    if datatype not in DTYPES:
        raise BadInput(f"input {name}: datatype {datatype!r} is none of {', '.join(DTYPES)}")
    if not shape or not all(type(one) is int and one >= 0 for one in shape):
        raise BadInput(f"input {name}: shape is a list of sizes")


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Any:
    """The array of a tensor whose datatype and shape were checked; it must not be written to."""
    count = math.prod(shape)
    if datatype == "BYTES":
        values: Any = np.empty(count, dtype=np.object_)
        values[:] = _texts(name, raw, count)
        return values.reshape(shape)
    dtype = np.dtype(DTYPES[datatype])
    if len(raw) != count * dtype.itemsize:
        raise BadInput(f"input {name}: {list(shape)} of {datatype} are {count * dtype.itemsize} bytes, not {len(raw)}")
    return np.frombuffer(raw, dtype=dtype.newbyteorder("<")).reshape(shape)


def _texts(name: str, raw: bytes, count: int) -> list[str]:
    texts: list[str] = []
    at = 0
    try:
        while at < len(raw) and len(texts) <= count:
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
            if at + length > len(raw):
                break
            texts.append(raw[at : at + length].decode())
            at += length
    except (struct.error, UnicodeDecodeError) as error:
        raise BadInput(f"input {name}: BYTES are UTF-8 with four bytes of length before each: {error}") from error
    if len(texts) != count or at != len(raw):
        raise BadInput(f"input {name}: the shape asks for {count} elements of BYTES, the contents are others")
    return texts


def to_raw(array: Any) -> bytes:
    """The bytes of an array that a model answered."""
    if array.dtype.kind != "O":
        raw: bytes = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        return raw
    parts = []
    for one in array.reshape(-1).tolist():
        content = one if isinstance(one, bytes) else str(one).encode()
        parts += [_LENGTH.pack(len(content)), content]
    return b"".join(parts)
