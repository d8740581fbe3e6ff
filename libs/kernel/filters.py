"""The filter language of all lists, AIP-160: from text to conditions with typed values, or a refusal. Pure.

    stage = production AND (tags.team = risk OR metrics.auc >= 0.9) -tags:legacy fraud

OR binds tighter than AND, as AIP-160 has it; conditions side by side all have to hold. Text, depth and number of
conditions are limited before anything is evaluated, and nothing of the text ever becomes part of a statement.
"""

import re
from dataclasses import dataclass

from kernel.fields import Field, Schema, wrong
from kernel.values import Moment, Text, Value, bare, quoted, typed

MOST_CHARACTERS = 2048
MOST_TERMS = 50
MOST_DEPTH = 16
_MOST_PARTS = 8

_SPACE = re.compile(r"\s+")
_OPERATOR = re.compile(r"<=|>=|!=|<|>|=|:")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
# A name on the left of an operator, or a word; `-` inside belongs to it.
_NAME = re.compile(r"[^\s()\"'<>=!:,.]+")
# A value on the right of an operator; only a time may hold colons unquoted.
_VALUE = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d[0-9:.+\-Zz]*|[^\s()\"'<>=!:,]+")


@dataclass(frozen=True)
class And:
    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Or:
    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Not:
    part: "Expression"


@dataclass(frozen=True)
class Words:
    """Full text. phrase: the words stand next to each other."""

    words: tuple[str, ...]
    phrase: bool = False


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value. operator: one of = != < <= > >= and `:` (has)."""

    field: Field
    rest: tuple[str, ...]
    operator: str
    value: Value


@dataclass(frozen=True)
class Present:
    """`tags.team:*` and `tags:team`: there is such a value."""

    field: Field
    rest: tuple[str, ...]


Expression = And | Or | Not | Words | Comparison | Present
EVERYTHING = And(())


def parse(text: str, schema: Schema, request_field: str = "filter") -> Expression:
    """The expression of a filter; EVERYTHING for an empty one. Invalid, with the place and what to write instead."""
    if len(text) > MOST_CHARACTERS:
        raise wrong(request_field, MOST_CHARACTERS, f"a filter has at most {MOST_CHARACTERS} characters")
    parser = _Parser(text, schema, request_field)
    parser.skip()
    if parser.at_end():
        return EVERYTHING
    found = parser.expression(0)
    if not parser.at_end():
        raise parser.wrong("there is no ( for this )")
    return found


def path_at(text: str, position: int, request_field: str) -> tuple[list[str], int]:
    """A dotted path that begins at a position, and where it ends; parts may be quoted."""
    parts: list[str] = []
    while True:
        if found := _QUOTED.match(text, position):
            parts.append(quoted(found.group()).plain)
        elif found := _NAME.match(text, position):
            parts.append(found.group())
        else:
            raise wrong(request_field, position, "a name is missing; write for example tags.team")
        position = found.end()
        if len(parts) > _MOST_PARTS:
            raise wrong(request_field, position, f"a path has at most {_MOST_PARTS} parts")
        if position >= len(text) or text[position] != ".":
            return parts, position
        position += 1


class _Parser:
    """Goes through the text once; every method begins behind spaces and leaves them behind it."""

    def __init__(self, text: str, schema: Schema, request_field: str) -> None:
        self._text = text
        self._schema = schema
        self._request_field = request_field
        self._at = 0
        self._terms = 0

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def wrong(self, description: str, at: int | None = None) -> Exception:
        return wrong(self._request_field, self._at if at is None else at, description)

    def skip(self) -> None:
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()

    def expression(self, depth: int) -> Expression:
        """Factors with AND, or nothing, between them, up to the end or a closing bracket."""
        if depth > MOST_DEPTH:
            raise self.wrong(f"brackets are nested deeper than {MOST_DEPTH}")
        parts = [self._factor(depth)]
        while not self.at_end() and self._text[self._at] != ")":
            if self._keyword("AND"):
                self._expect_more("AND")
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _factor(self, depth: int) -> Expression:
        parts = [self._term(depth)]
        while self._keyword("OR"):
            self._expect_more("OR")
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _term(self, depth: int) -> Expression:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise self.wrong(f"a filter has at most {MOST_TERMS} conditions")
        if self._keyword("NOT"):
            self._expect_more("NOT")
            return Not(self._simple(depth))
        if self._text[self._at] == "-":
            self._at += 1
            if self.at_end() or self._text[self._at].isspace():
                raise self.wrong("- stands right before what it negates; quote it to search for it")
            return Not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Expression:
        if self._text[self._at] == "(":
            opened = self._at
            self._at += 1
            self.skip()
            self._expect_more("(", opened)
            inner = self.expression(depth + 1)
            if self.at_end():
                raise self.wrong("this ( is never closed", opened)
            self._at += 1
            self.skip()
            return inner
        return self._restriction()

    def _restriction(self) -> Expression:
        """A condition on a field, or words."""
        began = self._at
        if self._keyword("AND") or self._keyword("OR") or self._keyword("NOT"):
            raise self.wrong("a condition is missing here; quote and, or, not to search for the words", began)
        path, end = self._path(began)
        self._at = end
        self.skip()
        if not self.at_end() and self._text[self._at] == "(" and self._at == end:
            raise self.wrong("there are no functions; write a space before (", began)
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            return self._words(began, end)
        field, rest = self._schema.find(path, self._request_field, began)
        self._at = operator.end()
        self.skip()
        return self._condition(field, rest, operator.group(), began)

    def _path(self, began: int) -> tuple[list[str], int]:
        if self._text[began] in ")<>=!:,.":
            sign = self._text[began]
            raise self.wrong(f"{sign!r} does not begin a condition; write a field, an operator and a value", began)
        if self._text[began] in "\"'" and _QUOTED.match(self._text, began) is None:
            raise self.wrong("this quotation mark is never closed", began)
        # A word may end in a full stop or hold one where no name follows.
        try:
            return path_at(self._text, began, self._request_field)
        except Exception as refusal:
            if found := re.compile(r"[^\s()\"'<>=!:,]+(?=\s|\)|$)").match(self._text, began):
                return [found.group()], found.end()
            raise refusal

    def _words(self, began: int, end: int) -> Expression:
        literal = self._text[began:end]
        phrase = literal[0] in "\"'"
        plain = quoted(literal).plain if phrase and _QUOTED.fullmatch(literal) else literal
        found = words_of(plain)
        if not found:
            raise self.wrong("there is no letter and no digit to search for", began)
        return Words(found, phrase and len(found) > 1)

    def _condition(self, field: Field, rest: tuple[str, ...], operator: str, began: int) -> Expression:
        at = self._at
        value = self._value()
        if operator == ":":
            if isinstance(value, Text) and value.segments == ("", ""):
                return Present(field, rest)
            if field.depth and len(rest) < field.depth and isinstance(value, Text | float | bool):
                following = self._key(value, at)
                return Present(field, (*rest, *following))
        converted = typed(field, rest, operator, value, self._text[at : self._at].strip())
        if isinstance(converted, str):
            raise self.wrong(converted, began if field.depth and not rest else at)
        return Comparison(field, rest, operator, converted)

    def _key(self, value: Value, at: int) -> tuple[str, ...]:
        if isinstance(value, Text) and len(value.segments) > 1:
            raise self.wrong("names have no *; write the whole name", at)
        return (value.plain if isinstance(value, Text) else self._text[at : self._at].strip(),)

    def _value(self) -> Value:
        at = self._at
        if self.at_end():
            raise self.wrong('a value is missing; write "" for an empty text')
        if self._text[at] == "(":
            raise self.wrong("a value stands here, no brackets; write field:a OR field:b")
        if found := _QUOTED.match(self._text, at):
            value: Value = quoted(found.group())
        elif found := _VALUE.match(self._text, at):
            value = bare(found.group())
        elif self._text[at] in "\"'":
            raise self.wrong("this quotation mark is never closed")
        else:
            raise self.wrong(f'{self._text[at]!r} begins no value; put text that holds it in quotation marks, "..."')
        self._at = found.end()
        if not self.at_end() and not (self._text[self._at].isspace() or self._text[self._at] in "()"):
            raise self.wrong(f"{self._text[self._at]!r} cannot stand in a bare value; put the whole value in quotes")
        self.skip()
        return value

    def _keyword(self, word: str) -> bool:
        """Takes a keyword, which stands alone and in capitals."""
        end = self._at + len(word)
        if not self._text.startswith(word, self._at) or (end < len(self._text) and not self._ends_word(end)):
            return False
        self._at = end
        self.skip()
        return True

    def _ends_word(self, at: int) -> bool:
        return self._text[at].isspace() or self._text[at] in "()\"'"

    def _expect_more(self, after: str, at: int | None = None) -> None:
        if self.at_end():
            raise self.wrong(f"a condition is missing behind {after}", at)
        if self._text[self._at] == ")":
            raise self.wrong(f"a condition is missing between {after} and )", at)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text: letters and digits, whatever stands between them."""
    return tuple(re.findall(r"[^\W_]+", text))


__all__ = ["EVERYTHING", "And", "Comparison", "Expression", "Moment", "Not", "Or", "Present", "Text", "Words", "parse"]
