"""The filter language: what is understood, what is refused and how, and that nothing of a text gets into SQL."""

import re
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernel import marks
from kernel.errors import Invalid
from kernel.fields import Schema, Searchable, Type, flag, map_of, number, text, texts, time
from kernel.filter_sql import Parameters, condition, needed
from kernel.filters import EVERYTHING, And, Comparison, Not, Or, Present, Words, parse
from kernel.ordering import after, expression, parse_order
from kernel.values import Moment, Text
from tests.kernel.toy import TOY


def _nothing(_message: Any) -> None:
    return None


def _fields() -> Any:
    return (
        text("stage", _nothing),
        text("artifact.format", _nothing),
        number("size", _nothing),
        flag("retired", _nothing),
        time("sunset", _nothing),
        texts("owners", _nothing),
        map_of(Type.TEXT, "tags", _nothing),
        map_of(Type.NUMBER, "metrics", _nothing),
        map_of(Type.ANY, "properties", _nothing),
        map_of(Type.NUMBER, "evaluations", _nothing, depth=3),
    )


SCHEMA = Schema([Searchable(TOY, _fields)])


def shown(found: Any) -> str:
    """An expression with all brackets, values as they were understood."""
    match found:
        case And(parts):
            return "(" + " & ".join(map(shown, parts)) + ")"
        case Or(parts):
            return "(" + " | ".join(map(shown, parts)) + ")"
        case Not(part):
            return "!" + shown(part)
        case Words(words, phrase):
            return ("~" if phrase else "") + "+".join(words)
        case Present(field, rest):
            return ".".join((field.path, *rest)) + "?"
        case Comparison(field, rest, operator, value):
            return ".".join((field.path, *rest)) + operator + _value(value)
    raise AssertionError(found)


def _value(value: Any) -> str:
    return (
        str(value.microseconds) + "us"
        if isinstance(value, Moment)
        else str(value.segments)
        if isinstance(value, Text)
        else str(value)
    )


@pytest.mark.parametrize(
    ("filter_", "understood"),
    [
        ("a b AND c", "(a & b & c)"),
        ("a AND b OR c", "(a & (b | c))"),  # OR binds tighter: AIP-160.
        ("a OR b c", "((a | b) & c)"),
        ("-a NOT b -(c OR d)", "(!a & !b & !(c | d))"),
        ("(a (b))", "(a & b)"),
        ("stage = production", "stage=('production',)"),
        ("stage=production", "stage=('production',)"),
        ('stage = "a \\"b\\" \\* *"', "stage=('a \"b\" * ', '')"),
        ("stage = 'x'", "stage=('x',)"),
        ("stage = 3", "stage=('3',)"),
        ("stage != pro*", "stage!=('pro', '')"),
        ("size >= 1e3", "size>=1000.0"),
        ("size < -0.5", "size<-0.5"),
        ("retired = true -retired:true", "(retired=True & !retired:True)"),
        ("sunset > 2026-03-01", "sunset>1772323200000000us"),
        ('sunset <= "2026-03-01T01:00:00+01:00"', "sunset<=1772323200000000us"),
        ("sunset > 2026-03-01T00:00:00.5Z", "sunset>1772323200500000us"),
        ("owners:users/ada", "owners:('users/ada',)"),
        ("tags:team tags.team:* tags.team:ri", "(tags.team? & tags.team? & tags.team:('ri',))"),
        ('tags."cost center" = 7', "tags.cost center=('7',)"),
        ("metrics.auc > 0.9", "metrics.auc>0.9"),
        ("metrics:auc", "metrics.auc?"),
        ("evaluations.holdout.metrics.auc > 0.9", "evaluations.holdout.metrics.auc>0.9"),
        ("evaluations:holdout evaluations.holdout:metrics", "(evaluations.holdout? & evaluations.holdout.metrics?)"),
        ('properties.x = 3 properties.x = "3"', "(properties.x=3.0 & properties.x=('3',))"),
        ("properties.x = true", "properties.x=True"),
        ("properties.x < 2026-03-01T00:00:00Z", "properties.x<1772323200000000us"),
        ("artifact.format = onnx", "artifact.format=('onnx',)"),
        ("create_time > 2026-03-01 name:fraud", "(create_time>1772323200000000us & name:('fraud',))"),
        ("scikit-learn", "scikit+learn"),
        ('"credit card" fraud.', "(~credit+card & fraud)"),
        ("v1.2 ANDROID", "(v1+2 & ANDROID)"),
    ],
)  # fmt: skip
def test_filters_are_understood(filter_: str, understood: str) -> None:
    assert shown(parse(filter_, SCHEMA)) == understood


def test_nothing_asks_for_everything() -> None:
    assert parse("", SCHEMA) == parse("  \n", SCHEMA) == EVERYTHING


@pytest.mark.parametrize(
    ("filter_", "place", "told"),
    [
        ("stag = x", 1, "did you mean stage?"),
        ("a wibble = 1", 3, "there are artifact.format, create_time"),
        ("stage =", 8, 'write "" for an empty text'),
        ("(a", 1, "never closed"),
        ("a)", 2, "no ( for this"),
        ("()", 1, "missing between ( and )"),
        ("a AND", 6, "missing behind AND"),
        ("a OR OR b", 6, "a condition is missing here"),
        ("NOT NOT a", 5, "a condition is missing here"),
        ("- a", 2, "right before what it negates"),
        ("= 3", 1, "'=' does not begin a condition"),
        ("a, b", 2, "',' does not begin a condition"),
        ('stage = "a', 9, "never closed"),
        ('"a', 1, "never closed"),
        ("stage = a:b", 10, "put the whole value in quotes"),
        ("stage = (a OR b)", 9, "write field:a OR field:b"),
        ("size = big", 8, "size is a number; write size = 0.9"),
        ("size = NaN", 8, "is a number"),
        ("size = 1e999", 8, "is a number"),
        ("size:3", 6, "compare it with = or !=, < or >"),
        ("retired = yes", 11, "write retired = true"),
        ("retired > true", 11, "true or false"),
        ("sunset > soon", 10, 'write sunset > "2026-03-01T12:00:00Z"'),
        ("sunset > 2026-13-01", 10, "is a time"),
        ("owners = users/ada", 10, "write owners:users/ada"),
        ("tags = risk", 1, "write tags.key = value, or tags:key"),
        ("tags.a.b = 1", 1, "nothing follows tags.a"),
        ("tags:te*", 6, "write the whole name"),
        ("stage < a*", 9, "have no order"),
        ("properties.x < true", 16, "have no order"),
        ("lower(a)", 1, "there are no functions"),
        ("!!!", 1, "does not begin a condition"),
        ("***", 1, "no letter and no digit"),
        ("a" * 2049, 2049, "at most 2048 characters"),
        ("a " * 51, 101, "at most 50 conditions"),
        ("(" * 17 + "a" + ")" * 17, 18, "nested deeper than 16"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(filter_: str, place: int, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(filter_, SCHEMA)
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("filter", "FILTER")
    assert violation.description.startswith(f"at character {place}: "), violation.description
    assert told in violation.description


@pytest.mark.parametrize(
    ("order_by", "keys"),
    [
        ("", "sort"),
        ("name desc", "sort desc"),
        ("create_time desc", "created desc, sort desc"),
        ("metrics.auc desc, tags.team", "metrics.auc desc, tags.team, sort"),
        (" stage asc ,size ", "stage, size, sort"),
        ("stage, name, size", "stage, sort"),  # No two have one name.
    ],
)
def test_orders_are_understood(order_by: str, keys: str) -> None:
    found = parse_order(order_by, SCHEMA)
    named = [".".join((one.column or one.field.path, *one.rest)) + " desc" * one.descending for one in found]
    assert ", ".join(named) == keys


@pytest.mark.parametrize(
    ("order_by", "told"),
    [
        ("stage desc desc", "a field, then nothing or desc, then a comma"),
        ("stage,", "a field is missing behind the comma"),
        ("stage, stage desc", "is there twice"),
        ("tags", "order by one of them"),
        ("owners", "order by one of them"),
        ("wibble", "there is no field"),
        ("name, stage, size, retired, sunset, tags.a", "at most 5 fields"),
    ],
)
def test_what_is_no_order_is_refused(order_by: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        parse_order(order_by, SCHEMA)


# All that a condition may consist of, besides places and brackets.
_CONSTANTS = set(
    "and or not true false coalesce case when then else end is null exists select from as where lower like collate doc"
    " name jsonb_typeof to_jsonb left jsonb_array_elements_text element shown tsv to_tsquery plainto_tsquery"
    " phraseto_tsquery created updated revision sort float8 text boolean timestamptz bigint jsonb int".split()
)
_STRINGS = {"'number'", "'string'", "'simple'", "'english'", "'[]'", '"C"'}


def _foreign(sql: str) -> set[str]:
    """What is in a condition that no constant of the compiler is."""
    bare = re.sub(r"\$\d+::[a-z0-9]+(\[\])?", " ", sql)
    strings = set(re.findall(r"'[^']*'|\"[^\"]*\"", bare))
    words = set(re.findall(r"[^\W\d]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", " ", bare)))
    signs = set(re.sub(r"'[^']*'|\"[^\"]*\"|\w", "", bare)) - set(" ()<>=#&|?@:,")
    return (strings - _STRINGS) | (words - _CONSTANTS) | signs


_WORDS = st.sampled_from(
    ["AND", "OR", "NOT", "-", "(", ")", '"', "'", "\\", "*", ":", "=", "!=", "<", ">=", ".", ",", "stage", "tags",
     "tags.a", "metrics.auc", "properties.x", "owners", "retired", "sunset", "true", "0.9", "2026-03-01T00:00:00Z",
     "users/ada", "'; drop table version; --", "$1", "name", "evaluations.e.metrics.k", "1e400", "%", "_"]
)  # fmt: skip
_TEXTS = (
    st.text(max_size=60)
    | st.lists(_WORDS | st.text(string.printable, max_size=6), max_size=14).map(" ".join)
    | st.lists(_WORDS, max_size=14).map("".join)
)


def _understood(read: Any, field: str) -> Any:
    """What was read; None where it was refused, which has to name the field. Anything else is an error of the test."""
    refusals: list[Invalid] = []
    try:
        return read()
    except Invalid as refusal:
        refusals.append(refusal)
    assert [one.field for one in refusals[0].violations] == [field]
    return None


@settings(max_examples=600, deadline=None)
@given(_TEXTS)
@example('stage = "\'; drop table version; --"')
@example("tags.\"'||pg_sleep(9)||'\" = 'x'")
@example("-" * 3000)
@example("\ud800 = \udfff")
def test_any_text_is_understood_or_refused_and_never_part_of_sql(filter_: str) -> None:
    found = _understood(lambda: parse(filter_, SCHEMA), "filter")
    if found is None:
        return
    parameters = Parameters()
    sql = condition(found, parameters)
    needed(found)
    assert not _foreign(sql), sql
    assert sorted(map(int, re.findall(r"\$(\d+)", sql))) or not parameters.values


@settings(max_examples=300, deadline=None)
@given(_TEXTS)
def test_any_order_is_understood_or_refused_and_never_part_of_sql(order_by: str) -> None:
    keys = _understood(lambda: parse_order(order_by, SCHEMA), "order_by")
    if keys is None:
        return
    parameters = Parameters()
    shown_ = [expression(one, parameters) for one in keys]
    last = ["1" if one.column not in ("sort",) else "'x" for one in keys]
    assert not _foreign(" ".join([*shown_, after(keys, ["sort"] * len(keys), last, parameters)]))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite, finite)
def test_a_number_in_a_range_carries_one_of_its_marks(one: float, other: float, value: float) -> None:
    lowest, highest = sorted((one, other))
    found = marks.of_range(("metrics", "auc"), lowest, highest)
    assert len(found) <= 140
    if lowest <= value <= highest:
        assert set(found) & set(marks.of_number(("metrics", "auc"), value))


@given(st.floats(0.5, 1.0), st.floats(0.0, 0.4))
def test_a_number_far_from_a_range_carries_none_of_its_marks(lowest: float, value: float) -> None:
    assert not set(marks.of_range(("a",), lowest, float("inf"))) & set(marks.of_number(("a",), value))
