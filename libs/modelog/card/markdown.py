"""A card as Markdown (CommonMark with tables). Charts are left out; their numbers are in tables."""

import re
from collections.abc import Iterable, Iterator, Sequence

from modelog.card.content import content
from modelog.pages.parts import Block, Code, Fields, Group, Link, Section, Table, Text, Value
from modelog.pages.prose import paragraphs
from modelog.pages.words import followed, seen
from modelog.registry.v1.cards_pb2 import ModelCard

_MARKUP = re.compile(r"([\\`*_\[\]|~$^!(){}])")
# What makes a line a heading, a list, a quote, a rule or a code block.
_LEADING = re.compile(r"^(\s*)([#>+\-=:]|\d{1,9}(?=[.)]))", re.MULTILINE)
# Longer curves are for charts, and for JSON.
_MOST_POINTS = 20
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def document(card: ModelCard) -> str:
    told = content(card)
    lines = [f"# {inline(told.title)}", "", f"**{inline(told.subtitle)}**", ""]
    lines += [" · ".join(f"{inline(name)}: **{inline(value)}**" for name, value in told.facts), ""]
    lines += _text(Text(told.summary)) if told.summary.strip() else []
    for section in told.sections:
        lines += _section(section, 2)
    return "\n".join([*lines, "---", "", inline(told.closing), ""])


def sections(card: ModelCard) -> str:
    """All but the title and what stands below it, for a page that has these already."""
    return "\n".join(line for section in content(card).sections for line in _section(section, 2))


def inline(text: str) -> str:
    """Text on one line in which nothing is markup."""
    return _escaped(" ".join(seen(text).split()))


def _escaped(text: str) -> str:
    plain = "".join(_ENTITIES.get(letter, letter) for letter in text)
    return _LEADING.sub(_held, _MARKUP.sub(r"\\\1", plain))


def _held(found: re.Match[str]) -> str:
    blank, sign = found.groups()
    # A digit cannot be escaped, so the sign after it is.
    return f"{blank}{sign}\\" if sign.isdigit() else f"{blank}\\{sign}"


def _section(section: Section, level: int) -> Iterator[str]:
    if not section:
        return
    yield from (f"{'#' * min(level, 6)} {inline(section.title)}", "")
    for block in section.blocks:
        yield from _block(block, level + 1)
    for inner in section.sections:
        yield from _section(inner, level + 1)


def _block(block: Block, level: int) -> Iterator[str]:
    match block:
        case Text():
            if block.title:
                yield from (f"{'#' * min(level, 6)} {inline(block.title)}", "")
            yield from _text(block)
        case Fields():
            yield from _titled(block.title, level, ("", ""), block.rows)
        case Table(points=True) if len(block.rows) > _MOST_POINTS:
            return
        case Table():
            yield from _titled(block.title, level, block.head, block.rows)
        case Group():
            return


def _text(block: Text) -> Iterator[str]:
    """Paragraphs and points as they were written; everything else of Markdown is text."""
    for paragraph in paragraphs(block.body):
        if isinstance(paragraph, str):
            yield _escaped(paragraph)
        else:
            yield from (f"- {inline(point)}" for point in paragraph)
        yield ""


def _titled(title: str, level: int, head: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[str]:
    if title:
        yield from (f"{'#' * min(level, 6)} {inline(title)}", "")
    yield _row(inline(one) for one in head)
    yield _row("---" for _ in head)
    yield from (_row(_cell(one) for one in row) for row in rows)
    yield ""


def _cell(value: Value) -> str:
    match value:
        case Link():
            return f"[{inline(value.text)}](<{value.uri}>)" if followed(value.uri) else inline(value.text)
        case Code():
            plain = " ".join(seen(value.text).split())
            # A backtick or a bar would end what holds it.
            return f"`{plain}`" if plain and not set(plain) & set("`|\\") else inline(plain)
        case _:
            return inline(value)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
