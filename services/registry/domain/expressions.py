"""Gates in the Common Expression Language: checked when a policy is set, evaluated over a version, always bounded.

CEL itself cannot loop for ever, but nested macros over large collections could still take minutes. So an expression may
use few macros and additions, none of the functions whose cost cannot be told beforehand (`matches` compiles a regular
expression at each step), and is refused to run when its size and its data's size promise too many steps.
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
# A step is 1-20 ns (measured over the worst shapes that the rules below let through), so this is well below a second.
_MOST_STEPS = 20_000_000
_EVIDENCE_CHARACTERS = 256
_MOST_EVIDENCE = 16

_MACRO = re.compile(r"\b(?:all|exists|exists_one|map|filter)\b")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_PATH = re.compile(r"""(?<![\w.'"])([a-z_]\w*)((?:\.[A-Za-z_]\w*|\[(?:'[^']*'|"[^"]*")\])*)(\s*\()?""")
_SEGMENT = re.compile(r"""\.([A-Za-z_]\w*)|\[(?:'([^']*)'|"([^"]*)")\]""")
# Operators of the language appear among a program's functions under names like `_+_`.
_FUNCTIONS = frozenset({"size", "startsWith", "endsWith", "contains", "int", "double", "string", "bool"})


class Result(NamedTuple):
    """How an expression came out. reason: empty when it holds. evidence: paths it names, with their values as JSON."""

    passed: bool
    reason: str
    evidence: dict[str, str]


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
    bound = set(_BOUND.findall(expression))
    if unknown := sorted(set(references["variables"]) - names - bound):
        return f"unknown name {unknown[0]!r}; it may use {', '.join(sorted(names))}"
    called = {name for name in references["functions"] if name.isidentifier() and not name.startswith("_")}
    if unknown := sorted(called - _FUNCTIONS):
        return f"unknown function {unknown[0]!r}; it may use {', '.join(sorted(_FUNCTIONS))}"
    return None


def _bounds(expression: str) -> str | None:
    if (macros := len(_MACRO.findall(expression))) > MOST_MACROS:
        return f"{macros} macros; at most {MOST_MACROS} are evaluated, so split the gate"
    if (additions := expression.count("+")) > _MOST_ADDITIONS:
        return f"{additions} additions; at most {_MOST_ADDITIONS} are evaluated"
    return None


def evaluate(expression: str, values: Mapping[str, Any]) -> Result:
    """Evaluates an expression; whatever keeps it from an answer is a reason to fail, never to pass."""
    evidence = _evidence(expression, values)
    try:
        program = _program(expression)
        named = {name: values[name] for name in program.variables() if name in values}
        if (wrong := _bounds(expression)) or _steps(expression, named) > _MOST_STEPS:
            return Result(False, f"not evaluated: {wrong or 'too many steps over this much data'}", evidence)
        outcome = program.execute(named)
    except KeyError as error:
        return Result(False, f"not evaluated: there is no {error}", evidence)
    except Exception as error:  # noqa: BLE001 -- Whatever the engine raises, an unevaluated gate must fail, not crash.
        return Result(False, f"not evaluated: {_first_line(error)}", evidence)
    if outcome is True:
        return Result(True, "", evidence)
    return Result(False, "does not hold" if outcome is False else f"is {outcome!r:.100}, not true or false", evidence)


def _steps(expression: str, named: Mapping[str, Any]) -> int:
    largest = max((_largest(value) for value in named.values()), default=0)
    largest = max(largest, expression.count(",") + 1)
    macros = len(_MACRO.findall(expression))
    return int(largest ** (macros + 1)) * max(1, len(expression) // 16)


def _largest(value: Any) -> int:
    """Size of the largest collection or text (in kilocharacters) anywhere inside a value."""
    if isinstance(value, str):
        return len(value) >> 10
    if isinstance(value, Mapping):
        return max([len(value), *(_largest(one) for one in value.values())])
    if isinstance(value, list):
        return max([len(value), *(_largest(one) for one in value)])
    return 0


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
