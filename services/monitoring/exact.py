"""Sums without rounding: addition of doubles in any order, to the same bits.

A double is an integer of 53 bits times a power of two, so sums of doubles and of their squares are integers times a
power of two as well. Columns are split by exponent and added as integers inside doubles, within the 53 bits in which
doubles count exactly; Python's integers do the rest. This is what makes profiles merge in any order to the same bytes.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelog.monitoring.v1 import types_pb2 as types

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LIMB = 18  # Bits; three limbs hold 53, and products of limbs leave 15 bits to add up 2^15 of them.
_LIMB_MASK = (1 << _LIMB) - 1
_HALF = 27
_HALF_MASK = (1 << _HALF) - 1
_CHUNK = 1 << 15
_MANTISSA_BITS = 53
_SHORT_RUN = 8


def exact_sums(values: Floats) -> tuple[types.ExactNumber, types.ExactNumber]:
    """The sum of finite values and the sum of their squares."""
    total, squares = Fraction(0), Fraction(0)
    for start in range(0, len(values), _CHUNK):
        fraction, exponent = np.frexp(values[start : start + _CHUNK])
        mantissa = np.ldexp(fraction, _MANTISSA_BITS).astype(np.int64)
        exponents = exponent.astype(np.int64) - _MANTISSA_BITS
        low = int(exponents.min())
        groups = exponents - low
        total += _scaled(_group_sums(mantissa, groups), low, 1)
        squares += _scaled(_group_squares(np.abs(mantissa), groups), 2 * low, 2)
    return number_of(total), number_of(squares)


def _group_sums(mantissa: Integers, groups: Integers) -> list[tuple[int, int]]:
    parts = _added(groups, mantissa >> _HALF, mantissa & _HALF_MASK)
    return [(group, (high << _HALF) + low) for group, high, low in parts]


def _group_squares(mantissa: Integers, groups: Integers) -> list[tuple[int, int]]:
    a = mantissa >> (2 * _LIMB)
    b = (mantissa >> _LIMB) & _LIMB_MASK
    c = mantissa & _LIMB_MASK
    sums = []
    for group, *parts in _added(groups, a * a, 2 * a * b, 2 * a * c + b * b, 2 * b * c, c * c):
        square = 0
        for part in parts:
            square = (square << _LIMB) + part
        sums.append((group, square))
    return sums


def _added(groups: Integers, *parts: Integers) -> Iterator[tuple[int, ...]]:
    """(group, sum of each part in it); a group may come in several pieces. Runs of one group, as sorted values have
    them, are added up in a fraction of the time."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    if len(starts) * _SHORT_RUN > len(groups):
        sums = [np.bincount(groups, weights=part).astype(np.int64).tolist() for part in parts]
        return zip(range(len(sums[0])), *sums, strict=True)
    return zip(groups[starts].tolist(), *(np.add.reduceat(part, starts).tolist() for part in parts), strict=True)


def _scaled(sums: Iterable[tuple[int, int]], low: int, step: int) -> Fraction:
    """The sum of one * 2^(low + step * group) over the sums of groups."""
    whole = 0
    for group, one in sums:
        whole += one << (step * group)
    return Fraction(whole << low) if low >= 0 else Fraction(whole, 1 << -low)


def number_of(value: Fraction) -> types.ExactNumber:
    """The one form of a binary fraction."""
    if not value:
        return types.ExactNumber()
    exponent = 1 - value.denominator.bit_length()
    mantissa = value.numerator
    zeros = (mantissa & -mantissa).bit_length() - 1
    mantissa >>= zeros
    size = (mantissa.bit_length() + 8) // 8
    return types.ExactNumber(mantissa=mantissa.to_bytes(size, "big", signed=True), exponent=exponent + zeros)


def value_of(number: types.ExactNumber) -> Fraction:
    mantissa = int.from_bytes(number.mantissa, "big", signed=True)
    if number.exponent >= 0:
        return Fraction(mantissa << number.exponent)
    return Fraction(mantissa, 1 << -number.exponent)


def added(one: types.ExactNumber, other: types.ExactNumber) -> types.ExactNumber:
    return number_of(value_of(one) + value_of(other))


def mean_of(numbers: Any) -> float:
    """Mean of a NumberProfile, correctly rounded; NaN without values."""
    return float(value_of(numbers.sum) / numbers.count) if numbers.count else float("nan")


def variance_of(numbers: Any) -> float:
    """Unbiased variance (n - 1) of a NumberProfile, rounded once; NaN with fewer than two values."""
    count = numbers.count
    if count < 2:
        return float("nan")
    total = value_of(numbers.sum)
    return float((value_of(numbers.sum_of_squares) - total * total / count) / (count - 1))
