"""What charts are drawn with: texts, strokes, scales that do not overflow, and ticks at round numbers and times."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import count as counted
from typing import NamedTuple

from modelog.pages.words import seen

LETTER = 6.4  # About the width of one at 12 px.
_LONGEST_LABEL = 24
_MOST_TICKS = 40
_SPANS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 1200)
_DAY, _MONTH = 86400, 30.4 * 86400
_LAST_YEAR = 9998
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp() - 366 * _DAY
_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp() + 366 * _DAY


@dataclass(frozen=True)
class Drawn:
    """A chart: its size in pixels, what it is called, what it shows in words, and its elements."""

    width: float
    height: float
    title: str
    told: str
    inner: Sequence[str]

    def svg(self, key: str, at: tuple[float, float] | None = None) -> str:
        """key: makes ids unique in the page. at: where it stands in another one."""
        place = f' x="{at[0]:.0f}" y="{at[1]:.0f}"' if at else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{key}-t {key}-d"{place}'
            f' width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}">'
            f'<title id="{key}-t">{safe(self.title)}</title><desc id="{key}-d">{safe(self.told)}</desc>'
            f"{''.join(self.inner)}</svg>"
        )


def safe(words: str) -> str:
    return escape(seen(words), quote=True)


def short(words: str, letters: int = _LONGEST_LABEL) -> str:
    words = " ".join(words.split())
    return words if len(words) <= letters else words[: letters - 1] + "…"


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{safe(words)}</text>'


def upright(x: float, y: float, words: str) -> str:
    """The title of an axis, from below to above."""
    place = f"translate({x:.0f} {y:.1f}) rotate(-90)"
    return f'<text transform="{place}" text-anchor="middle">{safe(words)}</text>'


def stroke(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(0.0, width):.2f}" height="{max(0.0, height):.2f}" class="{kind}"/>'
    )


class Scale(NamedTuple):
    """Values from low to high on pixels from begin to end. What lies outside is drawn at the end."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        most = max(abs(self.low), abs(self.high)) or 1.0  # Divided first: the span of two large values is no number.
        low, high = self.low / most, self.high / most
        share = (value / most - low) / (high - low) if high > low else 0.5
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 of a power of ten apart), the first not above low and the last not below high; these
    two themselves where numbers are too large, too small or too near each other for round ones."""
    if not low < high:
        wide = abs(low) * 0.1 or 1.0
        low, high = low - wide, high + wide
    wide = high - low
    if not math.isfinite(wide) or wide < 1e-300 or wide < 1e-9 * max(abs(low), abs(high)):
        return [low, high]
    rough = wide / most
    step = 10.0 ** math.floor(math.log10(rough))
    step *= next(one for one in (1, 2, 5, 10) if one * step >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def tick_words(values: Sequence[float]) -> list[str]:
    """Round numbers with as many decimals as they need to be told apart, the same for all."""
    most = max((abs(one) for one in values), default=0.0)
    if most >= 1e6 or 0 < most < 1e-4:
        return [f"{one:.3g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-") for one in values]
    for decimals in range(7):
        told = [f"{one:.{decimals}f}" for one in values]
        if all(abs(float(word) - one) <= 1e-9 * max(most, 1e-9) for word, one in zip(told, values, strict=True)):
            return told
    return [f"{one:.4g}" for one in values]


def time_ticks(start: float, end: float, most: int = 7) -> list[tuple[float, str]]:
    """Round times between two moments (seconds since 1970, UTC), each with its words: 14:00, Mar 3, 2026."""
    start, end = max(start, _EARLIEST), min(end, _LATEST)
    if not start < end:
        return []
    rough = (end - start) / most
    step = next((one for one in _SPANS if one >= rough), None)
    if step is None:
        return list(_month_ticks(start, end, rough))
    first = math.ceil(start / step)
    found = []
    for place in range(first, min(math.floor(end / step), first + _MOST_TICKS) + 1):
        moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=place * step)
        found.append((float(place * step), _time_words(moment, step)))
    return found


def _time_words(moment: datetime, step: float) -> str:
    if step >= _DAY or not (moment.hour or moment.minute or moment.second):
        return f"{moment:%b} {moment.day}"
    return f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"


def _month_ticks(start: float, end: float, rough: float) -> Iterator[tuple[float, str]]:
    months = next((one for one in _MONTHS if one * _MONTH >= rough), _MONTHS[-1])
    begin = datetime.fromtimestamp(start, UTC)
    for place in counted((begin.year * 12 + begin.month - 1) // months * months, months):
        year, month = divmod(place, 12)
        if year < 1:
            continue
        if year > _LAST_YEAR:
            return
        moment = datetime(year, month + 1, 1, tzinfo=UTC)
        if moment.timestamp() > end:
            return
        if moment.timestamp() >= start:
            yield moment.timestamp(), f"{moment:%Y}" if months >= 12 or month == 0 else f"{moment:%b}"


def time_word(at: float) -> str:
    """To the minute, UTC."""
    return f"{datetime.fromtimestamp(min(max(at, _EARLIEST), _LATEST), UTC):%Y-%m-%d %H:%M}"
