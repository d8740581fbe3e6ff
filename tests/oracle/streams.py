"""Streams with a known change, the same wherever they are drawn: only the standard library is needed."""

import random

LENGTH = 2000
CHANGE = 1000


def normal_step(seed: int, by: float) -> list[float]:
    """Normal values of deviation 1, whose mean steps up in the middle."""
    draw = random.Random(seed)
    return [draw.gauss(0.0 if at < CHANGE else by, 1.0) for at in range(LENGTH)]


def errors_step(seed: int, before: float, after: float) -> list[float]:
    """1 for an error, 0 for a right answer; the rate of errors changes in the middle."""
    draw = random.Random(seed)
    return [float(draw.random() < (before if at < CHANGE else after)) for at in range(LENGTH)]


def spread_step(seed: int) -> list[float]:
    """Normal values whose deviation halves in the middle while the mean stays."""
    draw = random.Random(seed)
    return [draw.gauss(0.0, 1.0 if at < CHANGE else 0.5) for at in range(LENGTH)]


def all_streams(seed: int) -> dict[str, list[float]]:
    return {
        "mean + 0.5": normal_step(seed, 0.5),
        "mean + 1": normal_step(seed, 1.0),
        "mean + 0": normal_step(seed, 0.0),
        "deviation / 2": spread_step(seed),
        "errors 10 % to 10 %": errors_step(seed, 0.1, 0.1),
        "errors 10 % to 20 %": errors_step(seed, 0.1, 0.2),
        "errors 10 % to 40 %": errors_step(seed, 0.1, 0.4),
    }
