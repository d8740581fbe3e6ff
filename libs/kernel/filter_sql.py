"""From an expression of the filter language to a condition with numbered parameters. Pure.

Every value and every name of the caller's is a parameter; the text of a condition consists of constants of this file.
A condition is never null, so that NOT of it is what it says. Beside it stand the marks that a row has to carry.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kernel import marks
from kernel.fields import Type
from kernel.filters import And, Comparison, Expression, Not, Or, Present, Words
from kernel.values import ORDERED, Moment, Text, Value, number_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", ":": "="}
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

# One of these marks is needed; of several such sets, one of each.
Needed = list[frozenset[str]]


class Parameters:
    """The values of a statement, in the order of their places."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any, type_: str) -> str:
        """The place of a value, with its type of SQL."""
        self.values.append(value)
        return f"${len(self.values)}::{type_}"


def condition(expression: Expression, parameters: Parameters) -> str:
    """A boolean expression over the columns of `searchable`, in brackets."""
    match expression:
        case And(parts):
            return f"({' and '.join(condition(one, parameters) for one in parts) or 'true'})"
        case Or(parts):
            return f"({' or '.join(condition(one, parameters) for one in parts)})"
        case Not(part):
            return f"(not {condition(part, parameters)})"
        case Words():
            return f"(tsv @@ {tsquery([expression], parameters)})"
        case Present(field, rest):
            if field.column:
                return "(true)"
            return f"(doc #> {parameters.add([field.path, *rest], 'text[]')} is not null)"
        case Comparison(operator="!=", field=field, rest=rest, value=value):
            return f"(not {_test(Comparison(field, rest, '=', value), parameters)})"
        case Comparison():
            return _test(expression, parameters)


def tsquery(words: Sequence[Words], parameters: Parameters) -> str:
    """A query that all of these words match. A word is found by its beginning and by its English stem.

    A subquery, so that it is made once a statement and not once a row.
    """
    return "(select " + " && ".join(_query(one, parameters) for one in words) + ")"


def indexed(words: Sequence[Words], needed_: Needed, parameters: Parameters) -> str:
    """What the index answers by itself: rows with all of these words and the needed marks, and perhaps some more."""
    marked = " & ".join("(" + " | ".join(f"'{mark}'" for mark in sorted(one_of)) + ")" for one_of in needed_)
    queries = [_query(one, parameters) for one in words] + [f"{parameters.add(marked, 'text')}::tsquery"]
    return f"tsv @@ (select {' && '.join(queries)})"


def rank(words: Sequence[Words], parameters: Parameters) -> str:
    """How well a row matches. Words as they are and stems are ranked apart: `mul:* | mul` at once would rank nothing,
    because ts_rank takes both for one word and forgets that one of them is a beginning."""
    each = zip(*(_queries(one, parameters) for one in words), strict=True)
    return " + ".join(f"ts_rank(tsv, (select {' && '.join(queries)}))" for queries in each)


def _query(words: Words, parameters: Parameters) -> str:
    return f"({' || '.join(_queries(words, parameters))})"


def _queries(words: Words, parameters: Parameters) -> tuple[str, str]:
    """The words as they are, or by their beginning; and their stems."""
    text = parameters.add(" ".join(words.words), "text")
    if words.phrase:
        return f"phraseto_tsquery('simple', {text})", f"phraseto_tsquery('english', {text})"
    # Words are letters and digits only, so nothing in the quotation marks can end them.
    beginnings = parameters.add(" & ".join(f"'{word}':*" for word in words.words), "text")
    return f"to_tsquery('simple', {beginnings})", f"plainto_tsquery('english', {text})"


def _test(test: Comparison, parameters: Parameters) -> str:
    field, rest, operator, value = test.field, test.rest, test.operator, test.value
    if field.column:
        return _column(field.column, field.type, operator, value, parameters)
    path = [field.path, *rest]
    sign = _OPERATORS[operator]
    match value:
        case Moment(microseconds):
            inner = [*path, "t"] if field.type is Type.ANY else path
            return _number(inner, sign, float(microseconds), parameters)
        case bool() if field.type is Type.FLAG:
            place, flag = parameters.add(path, "text[]"), parameters.add(value, "boolean")
            return f"coalesce(doc #> {place} = to_jsonb({flag}), false)"
        case bool():
            return _text(path, "=", Text(("true" if value else "false",)), parameters)
        case float():
            return _number(path, sign, value, parameters)
        case Text() if field.type is Type.TEXTS:
            return _element(path, value, parameters)
        case Text():
            return _text(path, operator, value, parameters)


def _number(path: list[str], sign: str, value: float, parameters: Parameters) -> str:
    place, number = parameters.add(path, "text[]"), parameters.add(value, "float8")
    stored = f"(doc #> {place})"
    return f"(case when jsonb_typeof{stored} = 'number' then {stored}::float8 {sign} {number} else false end)"


def _text(path: list[str], operator: str, value: Text, parameters: Parameters) -> str:
    place = parameters.add(path, "text[]")
    return f"coalesce({_compared(f'(doc #>> {place})', operator, value, parameters)}, false)"


def _compared(shown: str, operator: str, value: Text, parameters: Parameters) -> str:
    """A text compared with another; null for null. Letters of ASCII are alike, small or capital, for `:` alone."""
    if operator in ORDERED:
        return f'{shown} collate "C" {operator} {parameters.add(value.plain, "text")}'
    if operator == ":":
        pattern = f"%{_like(value)}%".translate(_UPPER)
        return f'lower({shown} collate "C") like {parameters.add(pattern, "text")}'
    if len(value.segments) > 1:
        return f"{shown} like {parameters.add(_like(value), 'text')}"
    return f'{shown} collate "C" = {parameters.add(value.plain, "text")}'


def _like(value: Text) -> str:
    escaped = (one.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") for one in value.segments)
    return "%".join(escaped)


def _element(path: list[str], value: Text, parameters: Parameters) -> str:
    place = parameters.add(path, "text[]")
    if len(value.segments) == 1:
        return f"coalesce(doc #> {place} ? {parameters.add(value.plain, 'text')}, false)"
    elements = f"jsonb_array_elements_text(coalesce(doc #> {place}, '[]'::jsonb))"
    return f"exists (select from {elements} as element(shown) where shown like {parameters.add(_like(value), 'text')})"


def _column(column: str, type_: Type, operator: str, value: Value, parameters: Parameters) -> str:
    """A column is never null."""
    match value:
        case Text():
            return f"({_compared(column, operator, value, parameters)})"
        case Moment(microseconds):
            return f"({column} {_OPERATORS[operator]} {parameters.add(moment(microseconds), 'timestamptz')})"
        case _:
            return f"({column}::float8 {_OPERATORS[operator]} {parameters.add(value, 'float8')})"


def moment(microseconds: int) -> datetime:
    """As Postgres gets it; what lies outside the calendar is moved to its ends."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _LATEST if microseconds > 0 else _EARLIEST


def needed(expression: Expression) -> Needed:
    """Marks that every row which meets the expression carries: one of each set."""
    match expression:
        case And(parts):
            return [one for part in parts for one in needed(part)]
        case Or(parts):
            each = [needed(part) for part in parts]
            return [frozenset().union(*(min(one, key=len) for one in each))] if each and all(each) else []
        case Present(field, rest) if rest:
            return [frozenset([marks.of_presence((field.path, *rest))])]
        case Comparison(field=field) if not field.column:
            return _needed(expression)
    return []


def _needed(test: Comparison) -> Needed:
    path, value = (test.field.path, *test.rest), test.value
    if test.operator == "!=":
        return []
    match value:
        case bool():
            return [frozenset([marks.of_text(path, "true" if value else "false")])]
        case float():
            return [frozenset(marks.of_range(path, *_range(test.operator, value)))]
        case Text(segments) if len(segments) == 1 and _is_exact(test, segments[0]):
            return [frozenset([marks.of_text(path, segments[0])])]
    return [frozenset([marks.of_presence(path)])] if test.rest else []


def _is_exact(test: Comparison, text: str) -> bool:
    """Whether only rows that hold this very text can match. Where any type may stand, 300 may be a number as well."""
    if test.field.type is Type.TEXTS:
        return True
    return test.operator == "=" and (test.field.type is Type.TEXT or number_of(text) is None)


def _range(operator: str, value: float) -> tuple[float, float]:
    if operator in ("<", "<="):
        return -math.inf, value
    return (value, math.inf) if operator in (">", ">=") else (value, value)
