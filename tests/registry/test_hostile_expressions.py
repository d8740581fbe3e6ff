"""Expressions made to hurt: deep, long, overflowing, or thrown together from the language's own pieces."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.expressions import Result, evaluate, fault
from services.registry.domain.seen import NAMES
from tests.registry.test_expressions import large

MOST_CHARACTERS = 1024  # What the protos let through.
LARGE = large()


def nested(before: str, inside: str, behind: str) -> str:
    depth = (MOST_CHARACTERS - len(inside)) // (len(before) + len(behind))
    return before * depth + inside + behind * depth


DEEP = [
    nested("(", "true", ")"),
    nested("[", "1", "]"),
    nested("{1:", "1", "}"),
    nested("!", "true", ""),
    nested("-", "1", ""),
    nested("size(", "tags", ")"),
    nested("string(", "1", ")"),
    nested("tags.all(a,", "true", ")"),
    nested("true?(", "true", "):false"),
    nested("", "1", "+1"),
    nested("", "1", "*9"),
    nested("", "true", "&&true"),
    nested("", "1", "<1"),
    nested("", "tags", ".a"),
    nested("", "tags", "['a']"),
    nested("", "1", "?1:1"),
]
WRONG = [
    "1 / 0 == 1",
    "1 % 0 == 1",
    "9223372036854775807 + 1 > 0",
    "-9223372036854775808 / -1 > 0",
    "int(1e300) > 0",
    "int('99999999999999999999') > 0",
    "tags[tags] == 1",
    "size(null) == 0",
    "b'\\xff' == b''",
    "'\\ud800' == ''",
    "\x00",
    "timestamp('x') == timestamp('y')",
    "duration('1s') > duration('0s')",
    "type(1) == int",
    "optional.of(1).hasValue()",
    "@not_strictly_false(true)",
    "'" + "a" * 1000 + "' == ''",
]
PIECES = st.sampled_from(
    "tags evaluations hyperparameters documentation.summary fairness 'x' 1 1.5 true null e [ ] ( ) { } ! - + * / % =="
    " != < in && || ? : .all(e, .exists(e, .exists_one(e, size( has( .size() .contains('a') int( string( double( bool("
    " .holdout.metrics.auc ['m1'] [0] .slices , b'a' 1u 0x1 1e400 \\ // ` '''".split(" ")
)


def bounded(expression: str) -> Result:
    """Judged as a policy would be, and as a verdict is, within a second of work."""
    began = time.process_time()
    fault(expression, NAMES)
    result = evaluate(expression, LARGE)
    assert time.process_time() - began < 2.0, expression
    assert result.passed == (result.reason == "")
    return result


@pytest.mark.parametrize("number", range(len(DEEP)))
def test_depth_and_length_are_bounded(number: int) -> None:
    assert len(DEEP[number]) <= MOST_CHARACTERS
    bounded(DEEP[number])


@pytest.mark.parametrize("expression", WRONG)
def test_what_goes_wrong_fails_the_gate_and_says_why(expression: str) -> None:
    result = bounded(expression)
    assert not result.passed or fault(expression, NAMES) is not None


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=60).map(lambda pieces: "".join(pieces)[:MOST_CHARACTERS]))
def test_pieces_of_the_language_thrown_together_never_hurt(expression: str) -> None:
    bounded(expression)
