"""Charts on one sheet, as an SVG document that stands alone, and as PNG for where SVG is not shown."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from modelog.pages.drawing import Drawn, safe, short, text
from modelog.pages.parts import Chart
from modelog.pages.svg import drawn

_MARGIN, _HEAD, _TITLE, _GAP = 24, 66, 24, 26
_FEW = 2  # So many stand below each other; more in two columns.
_NARROW = 560
_RULE = re.compile(r"(svg[^{}]*)\{([^}]*)\}")
_NAMED = re.compile(r"(--[\w-]+):\s*([^;]+);")
_VARIABLE = re.compile(r"var\((--[\w-]+)\)")
_FONT = 'svg{font:12px "Open Sans","Segoe UI",system-ui,sans-serif}.name{font-size:19px;font-weight:600}'
_FACE = "Open Sans"
_TWICE = 2.0  # As many pixels as a screen of high resolution wants.


class NoPng(Exception):
    """What draws PNG is not installed; the message says how to get it."""


def sheet(title: str, subtitle: str, charts: Sequence[Chart]) -> str:
    """An SVG document, light or dark as its reader is."""
    light, dark = _styles()
    style = f"{_FONT}{light}@media (prefers-color-scheme:dark){{{dark}}}"
    return _document(title, subtitle, [drawn(one) for one in charts], style)


def png(title: str, subtitle: str, charts: Sequence[Chart]) -> bytes:
    """The same as pixels, light, in a typeface that comes with the renderer's package: equal wherever it is made.

    NoPng where that is not installed."""
    try:
        import fontpkg
        import resvg_py
    except ImportError as error:
        raise NoPng(f"PNG needs the extra `png` ({error.name} is missing): pip install 'modelog[png]'") from error
    light, _ = _styles()
    made = _document(title, subtitle, [drawn(one) for one in charts], _FONT + light)
    face: Any = fontpkg.path(_FACE)
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=made, zoom=_TWICE, font_files=[str(face)], font_family=_FACE, sans_serif_family=_FACE
        )
    )


def _document(title: str, subtitle: str, charts: Sequence[Drawn], style: str) -> str:
    columns = 1 if len(charts) <= _FEW else 2
    width = max([_NARROW, *(one.width for one in charts)])
    inner, top = list[str](), float(_HEAD)
    for begin in range(0, len(charts), columns):
        row = charts[begin : begin + columns]
        for column, one in enumerate(row):
            left = _MARGIN + column * (width + _GAP)
            letters = int(width / 7)
            inner.append(text(left, top + 12, short(one.title, letters), kind="strong"))
            inner.append(one.svg(f"c{begin + column + 1}", (left, top + _TITLE)))
        top += _TITLE + max(one.height for one in row) + _GAP
    if not charts:
        inner.append(text(_MARGIN, top + 12, "There is nothing to show.", kind="quiet"))
        top += _TITLE + _GAP
    across = 2 * _MARGIN + columns * width + (columns - 1) * _GAP
    head = [
        f"<style>{style}</style>",
        '<rect width="100%" height="100%" class="paper"/>',
        text(_MARGIN, 34, short(title, 70), kind="name"),
        text(_MARGIN, 54, short(subtitle, 150), kind="quiet"),
    ]
    size = f'width="{across:.0f}" height="{top:.0f}" viewBox="0 0 {across:.0f} {top:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="sheet-t sheet-d" {size}>'
        f'<title id="sheet-t">{safe(title)}</title><desc id="sheet-d">{safe(subtitle)}</desc>'
        f"{''.join([*head, *inner])}</svg>\n"
    )


@cache
def _styles() -> tuple[str, str]:
    """The rules of charts on pages, light and dark, with every colour written out: renderers know no variables."""
    page = files("modelog.pages").joinpath("style.css").read_text(encoding="utf-8")
    page = page.partition("@media print")[0]
    light, dark = (dict(_NAMED.findall(part)) for part in page.split("@media", 1))
    rules = "".join(f"{name.strip()}{{{body.strip()}}}" for name, body in _RULE.findall(page) if name.strip() != "svg")
    rules += "svg .paper{fill:var(--paper)}"

    def written(colours: dict[str, str]) -> str:
        return _VARIABLE.sub(lambda found: colours[found[1]], rules)

    return written(light), written(light | dark)
