"""Windows that are made of others: sliding ones of their steps, and baselines of the windows before. Pure.

Steps and windows that are closed never change, so neither does what is merged from them: late rows are told by the next
step, and what was judged stays as it is.
"""

from collections.abc import Sequence

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import merge
from services.monitoring.windows import MICROSECONDS, OpenWindow


def steps_of(spec: types.WindowSpec) -> int:
    """How many steps a window has; 1 when it does not slide."""
    if spec.step_seconds:
        return spec.size_seconds // spec.step_seconds
    return spec.size_rows // spec.step_rows if spec.step_rows else 1


def reach_of(spec: types.WindowSpec) -> int:
    """How many steps, the newest one included, a window and what it is compared with are made of."""
    return steps_of(spec) * (1 + spec.baseline_windows)


def window_of(spec: types.WindowSpec, steps: Sequence[OpenWindow]) -> OpenWindow | None:
    """The window that ends with the last of these closed steps of one lane, in their order; None while a window by
    count is not full. By time, a step that nothing came for is absent and counts as empty."""
    newest, wanted = steps[-1], steps_of(spec)
    if wanted == 1:
        return newest
    size = spec.size_seconds * MICROSECONDS
    if size:
        mine = [one for one in steps if one.start >= newest.end - size]
    else:
        mine = list(steps[-wanted:])
        if len(mine) < wanted:
            return None
    start = newest.end - size if size else min(one.start for one in mine)
    return OpenWindow(
        newest.position,
        newest.offset,
        start,
        max(one.end for one in mine),
        newest.terms,
        newest.baseline_digest,
        _merged(mine),
        closed=True,
    )


def earlier_of(spec: types.WindowSpec, steps: Sequence[OpenWindow]) -> types.ProfileSet | None:
    """The rows of the `baseline_windows` windows before the one that ends with the last step, none of them in it; None
    when there are not so many rows' worth: by count not so many steps, by time none at all."""
    wanted, windows = steps_of(spec), spec.baseline_windows
    size = spec.size_seconds * MICROSECONDS
    if size:
        start = steps[-1].end - size
        before = [one for one in steps if start - windows * size <= one.start < start]
    else:
        before = list(steps[:-wanted][-wanted * windows :])
        if len(before) < wanted * windows:
            return None
    merged = _merged(before) if before else None
    return merged if merged is not None and merged.rows else None


def _merged(steps: Sequence[OpenWindow]) -> types.ProfileSet:
    merged = types.ProfileSet()
    for one in steps:
        merged = merge(merged, one.profiles)
    return merged
