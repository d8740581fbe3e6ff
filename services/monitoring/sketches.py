"""How many different values there were, from a fixed number of registers: mergeable, and the same for the same values.

HyperLogLog of Flajolet et al. (AofA 2007) with 2048 registers and Ertl's estimator (arXiv 1702.01284, algorithm 6),
which needs no tables and is unbiased from 0 on. Standard error 1.04 / sqrt(2048) = 2.3 percent. Hashes are those of
SplitMix64 (Steele et al., OOPSLA 2014) and BLAKE2b, so they depend neither on the machine nor on the process.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.exact import Floats

REGISTERS = 2048
STANDARD_ERROR = 1.04 / math.sqrt(REGISTERS)

Hashes = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

_INDEX_BITS = 11
_REST_BITS = 64 - _INDEX_BITS  # 53: doubles hold the rest of a hash exactly.
_REST_MASK = np.uint64((1 << _REST_BITS) - 1)
_DENSE_FROM = REGISTERS // 3
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LEAST_CANDIDATES = 24  # A register, on average, of those that can hold its greatest rank.


def hashes_of_numbers(numbers: Floats) -> Hashes:
    """One hash a number; both zeros have one, and all that is no number has one."""
    values = numbers + 0.0
    unfit = np.isnan(values)
    if unfit.any():
        values[unfit] = np.nan
    return mixed(values.view(np.uint64))


def hashes_of_texts(texts: Sequence[str]) -> Hashes:
    """One hash a text: 64 bits of BLAKE2b of its UTF-8."""
    known: dict[str, int] = {}
    for one in texts:
        if one not in known:
            digest = hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            known[one] = int.from_bytes(digest, "little")
    return np.fromiter((known[one] for one in texts), dtype=np.uint64, count=len(texts))


def mixed(words: Hashes) -> Hashes:
    """SplitMix64's finalizer: every bit of the result depends on every bit given."""
    words = words + _GOLDEN
    words ^= words >> np.uint64(30)
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def hashes_of_rows(columns: Iterable[Hashes], rows: int) -> Hashes:
    """One hash a row of several columns, which come in an order of their own."""
    together = np.zeros(rows, dtype=np.uint64)
    for one in columns:
        together = mixed(together ^ one)
    return together


def counted(hashes: Hashes) -> types.Registers:
    """Registers of these hashes: each holds one more than the most leading zeros among its own."""
    registers = np.zeros(REGISTERS, dtype=np.uint8)
    candidates = _few(hashes)
    _raise(registers, candidates)
    if len(candidates) < len(hashes) and not registers.all():
        _raise(registers, hashes)
    return _written(registers)


def _few(hashes: Hashes) -> Hashes:
    """Of very many, those that begin with enough zeros to matter unless a register gets none of them."""
    many = len(hashes) // (REGISTERS * _LEAST_CANDIDATES)
    if many < 2:
        return hashes
    return hashes[(hashes & _REST_MASK) < np.uint64((1 << _REST_BITS) // many)]


def _raise(registers: Bytes, hashes: Hashes) -> None:
    rest = (hashes & _REST_MASK).astype(np.float64)
    ranks = (_REST_BITS + 1 - np.frexp(rest)[1]).astype(np.uint8)
    np.maximum.at(registers, (hashes >> np.uint64(_REST_BITS)).astype(np.intp), ranks)


def _written(registers: Bytes) -> types.Registers:
    used = np.flatnonzero(registers)
    if len(used) > _DENSE_FROM:
        return types.Registers(registers=registers.tobytes())
    sparse = np.empty((len(used), 3), dtype=np.uint8)
    sparse[:, 0], sparse[:, 1], sparse[:, 2] = used >> 8, used & 0xFF, registers[used]
    return types.Registers(registers=sparse.tobytes())


def _read(registers: types.Registers) -> Bytes:
    """ValueError when they are not as they are written here."""
    given = np.frombuffer(registers.registers, dtype=np.uint8)
    if len(given) == REGISTERS:
        return given.copy()
    dense = np.zeros(REGISTERS, dtype=np.uint8)
    if len(given) % 3 or len(given) > 3 * _DENSE_FROM:
        raise ValueError("registers of another kind")
    sparse = given.reshape(-1, 3).astype(np.intp)
    places = sparse[:, 0] << 8 | sparse[:, 1]
    if len(places) and places.max() >= REGISTERS:
        raise ValueError("registers of another kind")
    dense[places] = sparse[:, 2]
    return dense


def is_sound(registers: types.Registers) -> bool:
    """Whether registers that came from outside are as they are written here."""
    try:
        found = _read(registers)
    except ValueError:
        return False
    return int(found.max()) <= _REST_BITS + 1 and _written(found) == registers


def united(one: types.Registers, other: types.Registers) -> types.Registers:
    """Registers of the values of both."""
    return _written(np.maximum(_read(one), _read(other)))


def estimate(registers: types.Registers) -> float:
    """How many different values, with a standard error of 2.3 percent."""
    counts = np.bincount(_read(registers), minlength=_REST_BITS + 2).tolist()
    most = _REST_BITS
    z = REGISTERS * _tau(1.0 - counts[most + 1] / REGISTERS)
    for rank in range(most, 0, -1):
        z = 0.5 * (z + counts[rank])
    z += REGISTERS * _sigma(counts[0] / REGISTERS)
    return 0.0 if math.isinf(z) else REGISTERS / (2.0 * math.log(2.0)) * REGISTERS / z


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before = z
        z += x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z = 1.0, 1.0 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
        if z == before:
            return z / 3.0
