"""A document as one HTML file: no scripts, no requests, nothing beside it. For screens, dark or light, and paper."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files

from modelog.pages.parts import Block, Code, Document, Fields, Group, Link, Section, Table, Text, Value
from modelog.pages.prose import paragraphs
from modelog.pages.svg import chart
from modelog.pages.words import followed, seen

# Even what would slip through runs nothing and asks for nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_NUMBER = re.compile(r"[-\d.,\u202f e+%]+( to [-\d.e+]+)?( \(.*\))?")
_WARNING = ("Deprecated", "Quarantined", "Findings")
_WARN, _FIGURES = ' class="warn"', ' class="number"'
Keys = Iterator[int]


def page(told: Document) -> str:
    keys = itertools.count(1)
    body = "".join(_section(section, 2, keys, f"s{place}") for place, section in enumerate(told.sections, 1))
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="referrer" content="no-referrer"><title>{_safe(told.title)}: {_safe(told.subtitle)}</title>'
        f"<style>{_style()}</style></head>\n<body><main>\n"
        f"{_header(told)}{body}<footer><p>{_safe(told.closing)}</p></footer>\n</main></body></html>\n"
    )


@cache
def _style() -> str:
    return files("modelog.pages").joinpath("style.css").read_text(encoding="utf-8")


def _safe(text: str) -> str:
    return escape(seen(text), quote=True)


def _header(told: Document) -> str:
    facts = "".join(
        f"<li{_WARN if name in _WARNING else ''}><span>{_safe(name)}:</span> {_safe(value)}</li>"
        for name, value in told.facts
    )
    links = "".join(
        f'<li><a href="#s{place}">{_safe(section.title)}</a></li>' for place, section in enumerate(told.sections, 1)
    )
    return (
        f'<header><h1>{_safe(told.title)}</h1><p class="subtitle">{_safe(told.subtitle)}</p>'
        f'<ul class="facts">{facts}</ul>{_prose(told.summary)}</header>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
    )


def _section(section: Section, level: int, keys: Keys, anchor: str = "") -> str:
    if not section:
        return ""
    rank = min(level, 6)
    place = f' id="{anchor}"' if anchor else ""
    blocks = "".join(_block(block, level + 1, keys) for block in section.blocks)
    inner = "".join(_section(one, level + 1, keys) for one in section.sections)
    return f"<section{place}><h{rank}>{_safe(section.title)}</h{rank}>{blocks}{inner}</section>\n"


def _block(block: Block, level: int, keys: Keys) -> str:
    match block:
        case Text():
            rank = min(level, 6)
            title = f"<h{rank}>{_safe(block.title)}</h{rank}>" if block.title else ""
            return title + _prose(block.body)
        case Fields():
            return _fields(block)
        case Table():
            return _table(block)
        case Group():
            figures = "".join(
                f"<figure><figcaption>{_safe(one.title)}</figcaption>{chart(one, f'c{next(keys)}')}</figure>"
                for one in block.charts
            )
            return f'<div class="charts">{figures}</div>'


def _prose(body: str) -> str:
    made = []
    for paragraph in paragraphs(body):
        if isinstance(paragraph, str):
            made.append(f"<p>{_safe(paragraph).replace(chr(10), '<br>')}</p>")
        else:
            made.append(f"<ul>{''.join(f'<li>{_safe(point)}</li>' for point in paragraph)}</ul>")
    return "".join(made)


def _fields(block: Fields) -> str:
    rows = "".join(f'<tr><th scope="row">{_safe(name)}</th><td>{_value(value)}</td></tr>' for name, value in block.rows)
    return _framed(block.title, f"<tbody>{rows}</tbody>") if rows else ""


def _table(block: Table) -> str:
    head = "".join(f'<th scope="col">{_safe(one)}</th>' for one in block.head)
    rows = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in block.rows)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    if block.folded:
        kind = ' class="points"' if block.points else ""
        return f"<details{kind}><summary>{_safe(block.title or 'Numbers')}</summary>{_framed('', inner)}</details>"
    return _framed(block.title, inner)


def _framed(title: str, inner: str) -> str:
    caption = f"<caption>{_safe(title)}</caption>" if title else ""
    return f'<div class="scroll"><table>{caption}{inner}</table></div>'


def _cells(row: Sequence[Value]) -> Iterable[str]:
    for value in row:
        figures = isinstance(value, str) and _NUMBER.fullmatch(value)
        yield f"<td{_FIGURES if figures else ''}>{_value(value)}</td>"


def _value(value: Value) -> str:
    match value:
        case Link():
            if followed(value.uri):
                uri = escape(value.uri, quote=True)
                return f'<a href="{uri}" rel="noopener noreferrer nofollow">{_safe(value.text)}</a>'
            return _safe(value.text)
        case Code():
            return f"<code>{_safe(value.text)}</code>"
        case _:
            return _safe(value)
