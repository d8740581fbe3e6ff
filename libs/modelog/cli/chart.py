"""Metrics of versions as a picture: one panel a metric with a bar a version. Pure: the same reply, the same bytes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from modelog.cli.cells import tail
from modelog.cli.text import clean

_WIDTH, _BARS_BEGIN, _BARS_END = 760, 210, 620
_ROW, _TITLE, _GAP, _TOP = 20, 22, 14, 44
_MOST_METRICS = 100
_LABEL_CHARACTERS = 28
_TITLE_CHARACTERS = 90
_BEST, _OTHER = "#2b7a4b", "#8aa1b4"
_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:12px;fill:#1c2733}"
    ".title{font-weight:600}.quiet{fill:#5c6b78}.axis{stroke:#b8c4ce;stroke-width:1}"
)


class _Scale(NamedTuple):
    """Values from `low` to `high`, both around 0, over the width that bars have."""

    low: float
    high: float

    def at(self, value: float) -> float:
        most = max(-self.low, self.high) or 1.0  # Divided first: the span of two large values is no number.
        low, high = self.low / most, self.high / most
        share = (value / most - low) / (high - low) if high > low else 0.0
        return round(_BARS_BEGIN + share * (_BARS_END - _BARS_BEGIN), 2)


def svg(reply: Any) -> str:
    """The metrics of a CompareVersionsResponse as a whole SVG document; at most 100 of them."""
    metrics = [one for one in reply.metrics if any(value.HasField("value") for value in one.values)][:_MOST_METRICS]
    parts, top = list[str](), _TOP
    for metric in metrics:
        parts += _panel(metric, reply.names, top)
        top += _TITLE + _ROW * len(reply.names) + _GAP
    height = top if metrics else _TOP + _ROW
    words = "no metric differs" if not metrics else f"{len(metrics)} of {len(reply.metrics)} metrics"
    box = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}><style>{_STYLE}</style>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(16, 24, f"{len(reply.names)} versions, {words}", "title"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _panel(metric: Any, names: Sequence[str], top: int) -> Iterator[str]:
    values = [one.value if one.HasField("value") else None for one in metric.values]
    present = [value for value in values if value is not None]
    scale = _Scale(min(0.0, *present), max(0.0, *present))
    direction = "the versions do not agree which direction is better"
    if metric.direction_agreed:
        direction = f"{'higher' if metric.higher_is_better else 'lower'} is better"
    yield _text(16, top + 14, _short(metric.path, _TITLE_CHARACTERS), "title", f"{metric.path}: {direction}")
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        yield from _bar(name, value, scale, top + _TITLE + row * _ROW, best=name in metric.best)
    zero, end = scale.at(0.0), top + _TITLE + _ROW * len(names)
    yield f'<line class="axis" x1="{zero}" y1="{top + _TITLE}" x2="{zero}" y2="{end}"/>'


def _bar(name: str, value: float | None, scale: _Scale, y: int, *, best: bool) -> Iterator[str]:
    yield _text(16, y + 14, _short(tail(name), _LABEL_CHARACTERS), "", name)
    if value is None:
        yield _text(_BARS_END + 10, y + 14, "none", "quiet")
        return
    begin, end = sorted((scale.at(0.0), scale.at(value)))
    colour = _BEST if best else _OTHER
    yield f'<rect x="{begin}" y="{y + 3}" width="{round(end - begin, 2)}" height="{_ROW - 6}" fill="{colour}"/>'
    yield _text(_BARS_END + 10, y + 14, f"{value:.6g}{' best' if best else ''}")


def _text(x: float, y: float, text: str, kind: str = "", hint: str = "") -> str:
    style = f" class={quoteattr(kind)}" if kind else ""
    title = f"<title>{_safe(hint)}</title>" if hint else ""
    return f'<text x="{x}" y="{y}"{style}>{title}{_safe(text)}</text>'


def _short(text: str, characters: int) -> str:
    """The end of a long text, which tells more than its beginning."""
    return text if len(text) <= characters else f"…{text[1 - characters :]}"


def _safe(text: str) -> str:
    """Text of others, which becomes neither markup nor something that XML does not take."""
    kept = "".join(
        one if one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff" else "?" for one in clean(text)
    )
    return escape(kept)


def html(reply: Any, rows: Sequence[Sequence[str]]) -> str:
    """A page with the picture and a table below it; the first of the rows holds the titles."""
    titles, *others = rows
    head = "".join(f"<th>{_safe(one)}</th>" for one in titles)
    body = "".join(f"<tr>{''.join(f'<td>{_safe(one)}</td>' for one in row)}</tr>\n" for row in others)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Versions compared</title><style>'
        "body{font-family:system-ui,sans-serif;margin:24px;color:#1c2733}table{border-collapse:collapse;margin-top:24px}"
        "td,th{border:1px solid #d5dde3;padding:4px 8px;text-align:left;vertical-align:top;font-size:13px}"
        "</style></head><body>\n"
        f"{svg(reply)}<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n</body></html>\n"
    )
