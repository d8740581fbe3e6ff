"""Distributions before and after: bars of shares side by side."""

from collections.abc import Iterator

from modelog.pages.drawing import LETTER, Drawn, Scale, box, short, stroke, text, ticks
from modelog.pages.parts import Bars, Pair
from modelog.pages.words import percent

_LEFT, _PLOT, _HEIGHT, _ABOVE, _BELOW = 52, 500, 190, 30, 44
_LABEL, _LONG, _VALUES, _ROW = 160, 270, 122, 34
_LETTERS, _WIDEST = 24, 90


def bars(one: Bars) -> Drawn:
    """Upright where parts follow each other, lying where each has a label of its own."""
    told = _told(one)
    if not one.pairs:
        return Drawn(_LEFT + _PLOT + 12, 60, one.title, told, [text(_LEFT, 34, "no values to show", kind="quiet")])
    inner = list(_upright(one) if one.edges else _lying(one))
    if one.edges:
        return Drawn(_LEFT + _PLOT + 12, _ABOVE + _HEIGHT + _BELOW, one.title, told, inner)
    return Drawn(_LABEL + _LONG + _VALUES, _ABOVE + _ROW * len(one.pairs) + 6, one.title, told, inner)


def _told(one: Bars) -> str:
    """The greatest changes in a sentence."""
    if not one.pairs:
        return "There are no values to show."
    most = sorted(one.pairs, key=lambda pair: -abs(pair.after - pair.before))[:3]
    changes = "; ".join(f"{pair.label}: {percent(pair.before)} before, {percent(pair.after)} after" for pair in most)
    return f"Shares of {len(one.pairs)} parts, {one.names[0]} beside {one.names[1]}. Changed most: {changes}."


def _legend(one: Bars, x: float) -> Iterator[str]:
    for kind, name in zip(("was", "is"), one.names, strict=True):
        yield box(x, 6, 11, 11, kind)
        yield text(x + 16, 16, short(name, 40))
        x += 30 + LETTER * min(len(name), 40)


def _upright(one: Bars) -> Iterator[str]:
    most = max(max(pair.before, pair.after) for pair in one.pairs)
    marks = ticks(0.0, most or 1.0, 4)
    height = Scale(0.0, marks[-1], _ABOVE + _HEIGHT, _ABOVE)
    yield from _legend(one, _LEFT)
    for mark in marks:
        yield stroke(_LEFT, height.at(mark), _LEFT + _PLOT, height.at(mark), "grid")
        yield text(_LEFT - 6, height.at(mark) + 4, percent(mark), "end", "quiet")
    slot = _PLOT / len(one.pairs)
    gap = min(6.0, slot * 0.2)
    for place, pair in enumerate(one.pairs):
        wide = min(_WIDEST, slot - gap)
        yield from _two(pair, _LEFT + (place + 0.5) * slot - wide / 2, wide / 2, height)
    yield from _edges(one, slot)


def _two(pair: Pair, x: float, width: float, height: Scale) -> Iterator[str]:
    for kind, share in (("was", pair.before), ("is", pair.after)):
        top = height.at(share)
        yield box(x, top, width - 0.5, height.begin - top, kind)
        x += width


def _edges(one: Bars, slot: float) -> Iterator[str]:
    """What stands between the parts, as much of it as has room; below it which parts are open."""
    base = _ABOVE + _HEIGHT
    free = 0.0
    between = len(one.edges) > len(one.pairs)
    for place, words in enumerate(one.edges):
        x = _LEFT + (place if between else place + 0.5) * slot
        room = LETTER * len(words) / 2 + 4
        if words and x - room >= free - 0.01:
            yield stroke(x, base, x, base + 4, "grid")
            yield text(x, base + 17, words, "middle", "quiet")
            free = x + room
    if between and one.edges[0] == "":
        yield text(_LEFT, base + 34, "below", "start", "quiet")
    if between and one.edges[-1] == "":
        yield text(_LEFT + _PLOT, base + 34, "above", "end", "quiet")


def _lying(one: Bars) -> Iterator[str]:
    most = max(max(pair.before, pair.after) for pair in one.pairs) or 1.0
    width = Scale(0.0, most, 0.0, _LONG)
    yield from _legend(one, _LABEL)
    for place, pair in enumerate(one.pairs):
        y = _ABOVE + place * _ROW
        yield text(_LABEL - 8, y + 18, short(pair.label, _LETTERS), "end")
        for row, (kind, share) in enumerate((("was", pair.before), ("is", pair.after))):
            yield box(_LABEL, y + 3 + row * 12, width.at(share), 11, kind)
        yield text(_LABEL + _LONG + 8, y + 18, f"{percent(pair.before)} to {percent(pair.after)}")
    yield stroke(_LABEL, _ABOVE, _LABEL, _ABOVE + _ROW * len(one.pairs), "grid")
