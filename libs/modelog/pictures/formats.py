"""The formats of a report by name, which is the ending of its file too."""

from collections.abc import Callable, Mapping, Sequence

from modelog.pages.page import page
from modelog.pages.parts import Chart, Document, Group
from modelog.pages.sheet import NoPng, png, sheet

__all__ = ["FORMATS", "NoPng", "render"]

_MOST_ON_A_SHEET = 12


def render(document: Document, name: str) -> bytes:
    """ValueError for a format that is none of FORMATS; NoPng for `png` where the extra is not installed."""
    if name not in FORMATS:
        raise ValueError(f"{name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name](document)


def charts(document: Document) -> Sequence[Chart]:
    """Its charts in order, as many as a sheet takes."""
    blocks = [block for section in document.sections for block in section.blocks]
    return [one for block in blocks if isinstance(block, Group) for one in block.charts][:_MOST_ON_A_SHEET]


def _line(document: Document) -> str:
    return " · ".join([document.subtitle, *(f"{name}: {value}" for name, value in document.facts)])


FORMATS: Mapping[str, Callable[[Document], bytes]] = {
    "html": lambda document: page(document).encode(),
    "svg": lambda document: sheet(document.title, _line(document), charts(document)).encode(),
    "png": lambda document: png(document.title, _line(document), charts(document)),
}
