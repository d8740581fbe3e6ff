"""What a method finds, before it is held against the threshold of a check."""

import math
from typing import NamedTuple

from modelog.monitoring.v1 import types_pb2 as types


class Measure(NamedTuple):
    """A statistic and the rows it was computed from; or, without a statistic, why there is none.

    drifted: what a test says, where the method is not held against the threshold. method: what was computed, where the
    method chooses.
    """

    rows: int
    statistic: float = math.nan
    p_value: float | None = None
    explanation: str = ""
    interval: types.StatisticInterval | None = None
    error_bound: float = 0.0
    drifted: bool | None = None
    method: str = ""
    groups: tuple[types.GroupRate, ...] = ()


def values_of(profile: types.Profile) -> int:
    """Rows that hold a value which was counted."""
    return profile.rows - profile.missing - profile.invalid
