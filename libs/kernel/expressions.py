"""Conditions in the Common Expression Language: checked when they are written, evaluated over plain values, bounded.

CEL itself cannot loop for ever, but nested macros over large collections could still take minutes. So an expression may
use few macros and additions; none of the macros and functions that build collections or compile regular expressions
(nested `map` over 64 tags was measured at 150 s); and it is not run when its size and its data's promise too much.
"""

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NamedTuple

MOST_MACROS = 2
_MOST_ADDITIONS = 8
# Steps for all gates of one transition together. The worst shapes that pass the rules below were measured at 180 ns a
# step, so even a policy made to be slow is judged within two seconds; an ordinary gate takes some thousand steps.
BUDGET_STEPS = 10_000_000
_HAND_OVER_STEPS = 10  # To bring one value into the engine.
_EVIDENCE_CHARACTERS = 256
_MOST_EVIDENCE = 16

_MACRO = re.compile(r"\b(?:all|exists|exists_one)\b")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one)\s*\(\s*([A-Za-z_]\w*)\s*,")
_BUILDING = re.compile(r"\.\s*(map|filter)\s*\(")
_PATH = re.compile(r"""(?<![\w.'"])([a-z_]\w*)((?:\.[A-Za-z_]\w*|\[(?:'[^']*'|"[^"]*")\])*)(\s*\()?""")
_SEGMENT = re.compile(r"""\.([A-Za-z_]\w*)|\[(?:'([^']*)'|"([^"]*)")\]""")
# Operators of the language appear among a program's functions under names like `_+_`.
_FUNCTIONS = frozenset({"size", "startsWith", "endsWith", "contains", "int", "double", "string", "bool"})


class Result(NamedTuple):
    """How an expression came out. reason: empty when it holds. evidence: paths it names, with their values as JSON.

    steps: what evaluating it may have cost at most.
    """

    passed: bool
    reason: str
    evidence: dict[str, str]
    steps: int = 0


def _load() -> ModuleType:
    """The compiled part of the package alone: the package itself would bring in its command line, 30 MB of it."""
    package = importlib.util.find_spec("cel")
    spec = PathFinder.find_spec("cel.cel", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        raise ImportError("common-expression-language is not installed")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_cel = _load()


@lru_cache(maxsize=1024)
def _program(expression: str) -> Any:
    return _cel.compile(expression)


def fault(expression: str, names: frozenset[str]) -> str | None:
    """What is wrong with an expression over these names; None when nothing is."""
    try:
        references = _program(expression).references()
    except (ValueError, RuntimeError) as error:
        return _first_line(error)
    if wrong := _bounds(expression):
        return wrong
    called = {name for name in references["functions"] if name.isidentifier() and not name.startswith("_")}
    if unknown := sorted(called - _FUNCTIONS):
        return f"unknown function {unknown[0]!r}; it may use {', '.join(sorted(_FUNCTIONS))}"
    bound = set(_BOUND.findall(expression))
    if unknown := sorted(set(references["variables"]) - names - bound):
        return f"unknown name {unknown[0]!r}; it may use {', '.join(sorted(names))}"
    return None


def _bounds(expression: str) -> str | None:
    if "//" in expression and "\n" in expression:
        return "a comment could hide what is called; leave it out, or write everything in one line"
    if building := _BUILDING.search(expression):
        return f"{building[1]} is not evaluated; all, exists and exists_one are"
    if (macros := len(_MACRO.findall(expression))) > MOST_MACROS:
        return f"{macros} macros; at most {MOST_MACROS} are evaluated, so split the gate"
    if (additions := expression.count("+")) > _MOST_ADDITIONS:
        return f"{additions} additions; at most {_MOST_ADDITIONS} are evaluated"
    return None


def evaluate(expression: str, values: Mapping[str, Any], budget_steps: int = BUDGET_STEPS) -> Result:
    """Evaluates an expression; whatever keeps it from an answer is a reason to fail, never to pass."""
    evidence = _evidence(expression, values)
    steps = 0
    try:
        program = _program(expression)
        named = {name: values[name] for name in program.variables() if name in values}
        if wrong := _bounds(expression):
            return Result(False, f"not evaluated: {wrong}", evidence)
        if (needed := _steps(expression, named)) > budget_steps:
            return Result(False, "not evaluated: too many steps over this much data; name parts of it", evidence)
        steps = needed
        outcome = program.execute(named)
    except KeyError as error:
        return Result(False, f"not evaluated: there is no {error}", evidence, steps)
    except Exception as error:  # Whatever the engine raises, a gate that was not evaluated fails and does not crash.
        return Result(False, f"not evaluated: {_first_line(error)}", evidence, steps)
    if outcome is True:
        return Result(True, "", evidence, steps)
    told = "does not hold" if outcome is False else f"is {outcome!r:.100}, not true or false"
    return Result(False, told, evidence, steps)


def _steps(expression: str, named: Mapping[str, Any]) -> int:
    """At most so many values are touched: each macro repeats the rest for each member of the largest collection."""
    macros = len(_MACRO.findall(expression))
    written = expression.count(",") + 1
    largest, total = written, written
    for value in named.values():
        members, values = _size(value)
        largest, total = max(largest, members), total + values
    return total * (_HAND_OVER_STEPS + int(largest**macros) * max(1, len(expression) // 16))


def _size(value: Any) -> tuple[int, int]:
    """Members of the largest collection inside a value, and values inside it; long texts count as several."""
    if isinstance(value, str):
        return 0, 1 + (len(value) >> 8)
    if not isinstance(value, Mapping | list):
        return 0, 1
    inner = [_size(one) for one in (value.values() if isinstance(value, Mapping) else value)]
    return max([len(value), *(members for members, _ in inner)]), 1 + sum(values for _, values in inner)


def _evidence(expression: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Each path of the expression that names a value, with that value: what a reader wants to see beside a verdict."""
    found: dict[str, str] = {}
    for root, rest, call in _PATH.findall(expression):
        if root not in values or len(found) >= _MOST_EVIDENCE:
            continue
        segments = ["".join(parts) for parts in _SEGMENT.findall(rest)]
        if call and segments:
            segments.pop()  # The last one is a method.
        if segments:
            path = ".".join([root, *segments])
            found[path] = _shown(values[root], segments)
    return found


def _shown(value: Any, segments: list[str]) -> str:
    for segment in segments:
        if not isinstance(value, Mapping) or segment not in value:
            return "absent"
        value = value[segment]
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _EVIDENCE_CHARACTERS else text[: _EVIDENCE_CHARACTERS - 1] + "…"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
