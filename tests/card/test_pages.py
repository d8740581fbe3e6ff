"""A card as a page: everything is there, nothing of what people wrote is markup, and nothing is asked of anybody."""

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from modelog.card import FORMATS, render
from modelog.card.governed import found
from modelog.card.markdown import document
from modelog.card.page import page
from modelog.pages.parts import Mark, Marks, Table
from modelog.pages.svg import chart
from modelog.pages.words import followed, seen
from modelog.registry.v1 import types_pb2 as types
from modelog.registry.v1.access_pb2 import AccessReview
from modelog.registry.v1.cards_pb2 import ModelCard
from tests.card.sample import DOCUMENTATION, card, empty, hostile

# What could become more than text, in HTML and in Markdown.
ATTACKS = {
    "script": "</title></script><script>alert(1)</script>",
    "handler": "\"'><img src=x onerror=alert(1)>",
    "style": "</style><style>body{display:none}</style>",
    "comment": "--><!-- <svg onload=alert(1)>",
    "address": "javascript:alert(1)",
    "data": "data:text/html,<script>alert(1)</script>",
    "link": "[click](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "reference": "[x]: http://evil.example\n\n[x]",
    "heading": "# Approved\n\n## By everybody\n\nApproved\n====",
    "table": "| a | b |\n|---|---|\n| 1 | 2 |",
    "fence": "```\nx\n```\n\n    y\n\n~~~\nz",
    "list": "1. a\n2) b\n+ c\n\n> quote\n\n***\n\n---",
    "emphasis": "**bold** _it_ ~~gone~~ `code` $x$ \\*",
    "entity": "&lt;b&gt; &#60;script&#62;",
    "matter": "---\nlicense: mit\n---",
    "template": "{{ 7*7 }} {% include 'x' %} ${x}",
    "direction": "\u202etxt.exe\u202c \u200b\u2066\x1b[31m\x07 \x00",
    "surrogates": "\U0001f600 é \ufeff \u2028",
}


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_everything_that_was_written_is_on_the_page() -> None:
    told, plain = Elements(page(card())), document(card())
    for field, value in DOCUMENTATION.ListFields():
        if isinstance(value, str):
            for line in value.replace("- ", "").split("\n"):
                assert line in told.text, field.name
                words = re.findall(r"\w+", line)
                assert all(word in plain for word in words), field.name
    for word in (
        "Apache-2.0",
        "users/ben",
        "ab" * 32,
        "equalized odds difference",
        "revision 44",
        "eu-central",
        "SHAP",
    ):
        assert word in told.text
        assert word in plain


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    told = Elements(page(card()))
    assert {tag for tag, _ in told.found} == set(
        "html head meta title style body main header h1 h2 h3 h4 p ul li span nav a section table caption tbody thead"
        " tr th td code div figure figcaption svg desc line text circle polyline rect details summary footer".split()
    )
    for tag, attributes in told.found:
        assert not set(attributes) & {"src", "srcset", "action", "style", "xlink:href"}, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    style = next(text for text in re.findall(r"<style>(.*?)</style>", page(card()), re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    policy = next(one for tag, one in told.found if tag == "meta" and "http-equiv" in one)
    assert (policy["content"] or "").startswith("default-src 'none'")


@cache
def harmless_page() -> Elements:
    return Elements(page(hostile(lambda path: f"{path} x")))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hostile_text_in_every_field_adds_no_element_and_no_attribute(attack: str) -> None:
    harmless = harmless_page()
    made = page(hostile(lambda path: f"{path} {attack}"))
    told = Elements(made)
    allowed = {(tag, name) for tag, attributes in harmless.found for name in attributes}
    assert {tag for tag, _ in told.found} <= {tag for tag, _ in harmless.found} | {"a", "br", "ul", "li", "p"}
    assert {(tag, name) for tag, attributes in told.found for name in attributes} <= allowed
    for tag, attributes in told.found:
        if tag == "a":
            assert re.match(r"#s\d+$", attributes["href"] or ""), attributes
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", made)


def test_only_addresses_of_pages_and_mail_become_links() -> None:
    for good in ("https://x.example/a?b=c&d=%20#e", "http://x", "mailto:a@b.example", "HTTPS://X.example"):
        assert followed(good)
    for bad in ("javascript:alert(1)", " https://x", "https://x\njavascript:1", "data:text/html,x", "//x", "s3://b/k",
                "https://x\">", "vbscript:x", "https:// x", "file:///etc/passwd", "\u2028https://x"):  # fmt: skip
        assert not followed(bad), bad
    made = card()
    made.model.details.links[0].uri = "https://x.example/?a=1&b=%22"
    assert '<a href="https://x.example/?a=1&amp;b=%22" rel="noopener noreferrer nofollow">' in page(made)


def tokens(text: str) -> list[Any]:
    found = []
    for one in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        found += [one, *(one.children or ())]
    return found


_MARKUP = (
    "heading_open table_open tr_open link_open image html_inline html_block fence code_block code_inline strong_open"
    " em_open s_open blockquote_open ordered_list_open hr"
).split()


def shape(made: ModelCard) -> dict[str, int]:
    """How often a card in Markdown has each kind of markup."""
    kinds = [one.type for one in tokens(document(made))]
    return {kind: kinds.count(kind) for kind in _MARKUP}


@cache
def harmless_shape() -> dict[str, int]:
    return shape(hostile(lambda path: f"x {path}"))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_hostile_text_is_plain_text_in_markdown(attack: str) -> None:
    """Compared with the same card in harmless words: no more headings, links, code, tables or HTML."""
    harmless, told = harmless_shape(), shape(hostile(lambda path: f"{attack} {path}"))
    # What would end a piece of code is not written as code.
    assert told["code_inline"] <= harmless["code_inline"]
    assert told == harmless | {"code_inline": told["code_inline"]}
    assert harmless["html_block"] == harmless["html_inline"] == harmless["image"] == 0


def text_of(markdown: str) -> str:
    return " ".join(one.content for one in tokens(markdown) if one.type == "text")


def test_markdown_shows_the_very_text() -> None:
    texts = "a*b _c_ [d](e) <f> & `g` | h ~ i \\ j # k 1. l $m$ {n} !o"
    made = card()
    made.version.documentation.limitations = texts
    assert texts in text_of(document(made))


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_card_gives_the_same_bytes_whatever_the_order_of_its_maps(name: str) -> None:
    first = card()
    again = ModelCard.FromString(first.SerializeToString())
    turned = ModelCard.FromString(first.SerializeToString())
    kept = dict(turned.version.hyperparameters)
    turned.version.hyperparameters.clear()
    for key in reversed(list(kept)):
        turned.version.hyperparameters[key] = kept[key]
    assert render(first, name) == render(again, name) == render(turned, name)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_card_is_a_card(name: str) -> None:
    assert "fraud" in render(empty(), name)


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'pdf' is none of markdown, html"):
        render(empty(), "pdf")


def test_every_chart_is_well_formed_and_says_what_it_shows() -> None:
    for made in (card(), hostile(lambda path: f'{path} <&">\x00')):
        drawn = re.findall(r"<svg.*?</svg>", page(made), re.DOTALL)
        assert len(drawn) > 8
        ids = []
        for one in drawn:
            tree = ET.fromstring(one)
            space = "{http://www.w3.org/2000/svg}"
            title, described = tree.find(f"{space}title"), tree.find(f"{space}desc")
            assert title is not None
            assert described is not None
            assert title.text
            assert described.text
            assert tree.attrib["aria-labelledby"] == f"{title.attrib['id']} {described.attrib['id']}"
            ids += [title.attrib["id"], described.attrib["id"]]
        assert len(set(ids)) == len(ids)


def test_a_chart_stays_inside_its_frame_for_any_numbers() -> None:
    for values in ([0.0], [1.0, 1.0], [-1e9, 1e9], [1e-12, 2e-12], [5.0]):
        drawn = chart(Marks("m", [Mark(str(one), one, one - 1, one + 1) for one in values]), "k")
        places = [float(one) for one in re.findall(r'c?x[12]?="([-\d.]+)"', drawn)]
        assert all(0 <= one <= 456 for one in places), drawn


def test_what_cannot_be_seen_is_written_out() -> None:
    assert seen("a\u202eb\r\nc\x00\ud800") == "a\\u202eb\nc\\u0000\\ud800"


def test_what_was_found_is_shown_under_the_name_of_its_field() -> None:
    """Whichever message of findings a version has: plain fields become columns."""
    review = AccessReview(findings=[{"reason": "AUTHOR_AND_APPROVER", "principal": "users/eve"}])
    (table,) = found(review, "findings").blocks
    assert isinstance(table, Table)
    assert (table.head, table.rows) == (["reason", "principal"], [["AUTHOR_AND_APPROVER", "users/eve"]])
    assert not found(review, "incidents")
    assert not found(AccessReview(), "findings")


def test_findings_answers_and_where_it_came_from_are_on_the_card() -> None:
    made = card()
    made.version.copied_from.version = "projects/lab/models/fraud/versions/9"
    made.version.marks.append("dirty_tree")
    told = Elements(page(made)).text
    shown = [
        "1 not resolved",
        "Recall of women",
        "threshold lowered, users/ada",
        "2026-03-02 14:00 UTC",
        "dpia",
        "doc 7",
    ]
    for text in (*shown, "projects/lab/models/fraud/versions/9", "dirty_tree"):
        assert text in told, text
    assert "content revision" not in told
    made.version.findings[0].state = types.FINDING_STATE_RESOLVED
    assert "not resolved" not in page(made)
