"""Detectors of change in a stream of values, each small and deterministic: the same values give the same answers.

`river` is the oracle of the tests. Each `update` takes one value and says whether the stream has changed with it; after
a change a detector begins anew, but for ADWIN, which drops what was before the change.
"""

import math
from dataclasses import dataclass, field

_ADWIN_BUCKETS = 5  # Of one size, before two become one of twice the size.
_ADWIN_SHORTEST = 5
_ADWIN_GRACE = 10


@dataclass
class PageHinkley:
    """Whether the mean rose (or fell): sums of what values exceed the mean so far by, less an allowance.

    Source: Page (Biometrika 41, 1954); Mouss et al. (ASCC 2004). threshold: of the sum, in the unit of the values;
    allowance: how far values may stray; forgetting: what a former sum counts for at each value.
    """

    threshold: float = 50.0
    allowance: float = 0.005
    forgetting: float = 0.9999
    least_values: int = 30
    values: int = 0
    mean: float = 0.0
    rise: float = 0.0
    least_rise: float = math.inf
    fall: float = 0.0
    most_fall: float = -math.inf

    def update(self, value: float) -> bool:
        self.values += 1
        self.mean += (value - self.mean) / self.values
        away = value - self.mean
        self.rise = self.forgetting * self.rise + away - self.allowance
        self.fall = self.forgetting * self.fall + away + self.allowance
        self.least_rise = min(self.least_rise, self.rise)
        self.most_fall = max(self.most_fall, self.fall)
        changed = self.values >= self.least_values and self.statistic > self.threshold
        if changed:
            self._begin()
        return changed

    @property
    def statistic(self) -> float:
        """How far the sum is from its extreme, the greater of both directions; 0 before any value."""
        return max(self.rise - self.least_rise, self.most_fall - self.fall) if self.values else 0.0

    def _begin(self) -> None:
        self.values, self.mean, self.rise, self.fall = 0, 0.0, 0.0, 0.0
        self.least_rise, self.most_fall = math.inf, -math.inf


@dataclass
class Ddm:
    """Whether a stream of errors (1) and right answers (0) got worse: error rate and its deviation against their least.

    Source: Gama et al. (SBIA 2004). drift: in deviations. Takes counts too, since rate and deviation need no order.
    """

    drift: float = 3.0
    least_values: int = 30
    values: int = 0
    errors: float = 0.0
    least_rate: float = math.inf
    least_deviation: float = math.inf

    def update(self, errors: float, rows: int = 1) -> bool:
        """errors: of so many rows."""
        self.values, self.errors = self.values + rows, self.errors + errors
        rate, deviation = self._now()
        if self.values <= self.least_values:
            return False
        if rate + deviation <= self.least_rate + self.least_deviation:
            self.least_rate, self.least_deviation = rate, deviation
        changed = rate + deviation > self.least_rate + self.drift * self.least_deviation
        if changed:
            self.values, self.errors = 0, 0.0
            self.least_rate = self.least_deviation = math.inf
        return changed

    @property
    def statistic(self) -> float:
        """By how many of the least deviations rate and deviation are above the least rate; 0 while that is unknown."""
        if not self.values or math.isinf(self.least_rate) or not self.least_deviation:
            return 0.0
        rate, deviation = self._now()
        return (rate + deviation - self.least_rate) / self.least_deviation

    def _now(self) -> tuple[float, float]:
        rate = self.errors / self.values
        return rate, math.sqrt(max(0.0, rate * (1 - rate)) / self.values)


@dataclass
class _Bucket:
    total: float
    variance: float  # Sum of squared distances from the mean.


@dataclass
class Adwin:
    """Whether two parts of the values since the last change have different means, at confidence 1 - delta.

    Source: Bifet and Gavalda (SDM 2007), with an exponential histogram: rows[i] holds at most five buckets of 2^i
    values, the oldest first, so that memory grows with the logarithm of the values. `every`: looks at each so many.
    """

    delta: float = 0.002
    every: int = 32
    rows: list[list[_Bucket]] = field(default_factory=list)
    width: int = 0
    total: float = 0.0
    variance: float = 0.0
    seen: int = 0

    def update(self, value: float) -> bool:
        self._insert(value)
        self.seen += 1
        if self.seen % self.every or self.width <= _ADWIN_GRACE:
            return False
        changed = False
        while self.width > _ADWIN_GRACE and self._differs():
            changed = True
            self._drop_oldest()
        return changed

    @property
    def mean(self) -> float:
        return self.total / self.width if self.width else 0.0

    def _insert(self, value: float) -> None:
        if self.width:
            self.variance += self.width * (value - self.mean) ** 2 / (self.width + 1)
        self.width, self.total = self.width + 1, self.total + value
        if not self.rows:
            self.rows.append([])
        self.rows[0].append(_Bucket(value, 0.0))
        for power, row in enumerate(self.rows):
            if len(row) <= _ADWIN_BUCKETS:
                break
            if power + 1 == len(self.rows):
                self.rows.append([])
            self.rows[power + 1].append(_joined(row.pop(0), row.pop(0), 1 << power))

    def _drop_oldest(self) -> None:
        while not self.rows[-1]:
            self.rows.pop()
        size = 1 << (len(self.rows) - 1)
        oldest = self.rows[-1].pop(0)
        self.width, self.total = self.width - size, self.total - oldest.total
        if not self.width:
            self.variance = 0.0
            return
        away = oldest.total / size - self.mean
        self.variance -= oldest.variance + size * self.width * away**2 / (size + self.width)

    def _differs(self) -> bool:
        """Whether the older and the younger values of some cut have means that are too far apart."""
        older, older_total = 0, 0.0
        variance = max(0.0, self.variance) / self.width
        cautious = math.log(2 * math.log(self.width) / self.delta)
        for power in range(len(self.rows) - 1, -1, -1):
            for bucket in self.rows[power]:
                older, older_total = older + (1 << power), older_total + bucket.total
                younger = self.width - older
                if younger < _ADWIN_SHORTEST:
                    return False
                if older < _ADWIN_SHORTEST:
                    continue
                apart = abs(older_total / older - (self.total - older_total) / younger)
                weight = 1 / (older - _ADWIN_SHORTEST + 1) + 1 / (younger - _ADWIN_SHORTEST + 1)
                if apart > math.sqrt(2 * weight * variance * cautious) + 2 / 3 * cautious * weight:
                    return True
        return False


def _joined(one: _Bucket, other: _Bucket, size: int) -> _Bucket:
    apart = one.total / size - other.total / size
    return _Bucket(one.total + other.total, one.variance + other.variance + size * size * apart**2 / (2 * size))
