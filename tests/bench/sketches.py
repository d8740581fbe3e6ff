"""How far what is computed from counts lies from what all values say, in parts of the bound that is told with it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring import sketches as registers
from services.monitoring.checks import evaluate
from services.monitoring.exact import Floats
from tests.bench.effort import Effort
from tests.bench.ground import Ground
from tests.bench.outcome import Outcome
from tests.monitoring.build import check, compared, numbers

_ROWS = 20_000
_ROUNDING = 1e-7  # Scipy sums in another order.
_STANDARD_ERRORS = 4  # What no seed of these may exceed; one in 16,000 would.
_SHAPES: dict[str, Callable[[np.random.Generator, float], Floats]] = {
    "normal": lambda random, shift: random.normal(shift, 1, size=_ROWS),
    "lognormal": lambda random, shift: random.lognormal(shift, 1, size=_ROWS),
    "uniform": lambda random, shift: random.uniform(shift, 1 + shift, size=_ROWS),
    "two peaks": lambda random, shift: random.normal(np.where(random.uniform(size=_ROWS) < 0.5, -3, 3) + shift, 1),
    "rounded": lambda random, shift: np.round(random.normal(10 * (1 + shift), 3, size=_ROWS)),
}


async def sketches(_ground: Ground, effort: Effort) -> Outcome:
    """Distinct values, Kolmogorov and Smirnov's and Wasserstein's distance: five shapes, four shifts, seeded draws."""
    worst: dict[str, float] = {}
    for seed in range(effort.rounds):
        for name, part in _parts(seed):
            worst[name] = max(worst.get(name, 0.0), part)
    return Outcome(
        name="sketches",
        question="error of what is computed from counts / the bound told with it, the worst",
        figure=max(worst.values()),
        target=1.0,
        unit="bounds",
        ours=f"{max(worst.values()):.2f}",
        at_most=True,
        rounds=[worst],
        notes={"by statistic": {name: round(part, 2) for name, part in worst.items()}},
    )


def _parts(seed: int) -> Iterator[tuple[str, float]]:
    """(statistic, error / bound)."""
    random = np.random.default_rng(seed)
    for draw in _SHAPES.values():
        for shift in (0.0, 0.05, 0.3, 1.0):
            before, after = draw(random, 0.0), draw(random, shift)
            distinct = len(np.unique(after))
            found = registers.estimate(registers.counted(registers.hashes_of_numbers(after)))
            yield "distinct", abs(found - distinct) / (_STANDARD_ERRORS * registers.STANDARD_ERROR * distinct)
            baseline, window = compared(numbers("x", before), numbers("x", after))
            exact: Any = stats.ks_2samp(before, after).statistic
            yield "kolmogorov-smirnov", _part(types.METHOD_KOLMOGOROV_SMIRNOV, window, baseline, float(exact))
            moved = stats.wasserstein_distance(before, after) / np.std(before, ddof=1)
            yield "wasserstein", _part(types.METHOD_WASSERSTEIN, window, baseline, float(moved))


def _part(method: types.Method, window: types.ProfileSet, baseline: types.ProfileSet, exact: float) -> float:
    result = evaluate(check(method, 0.1), window, baseline)
    error = abs(result.statistic - exact)
    return (
        0.0 if error < _ROUNDING * max(1.0, exact) else error / result.error_bound if result.error_bound else math.inf
    )
