"""Rules about what stands inside a file: where SQL, the environment and the clock may be, and how long things get."""

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tests.house.floors import SERVICES, Rule, is_pure
from tests.house.tree import Module, texts

FILE_LINES = 400
FUNCTION_LINES = 50

SQL = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s*\(|merge\s+into\s"
    r"|truncate\s+\w+|copy\s+\w+\s+from\s|(create|alter|drop)\s+(unlogged\s+|temp\s+|unique\s+|materialized\s+)?"
    r"(table|schema|index|view|sequence|function|role|database)\s)",
    re.IGNORECASE | re.DOTALL,
)
SQL_FILES = ("projections.py", "queries.py")
SQL_FOLDERS = ("projections", "queries", "migrations")
# The tables that every service has are written, read and kept in order by these.
SQL_KERNEL = frozenset(
    "comparing digest fence index position postgres projector reactor rebuilt resources search_sql status_servicer"
    " tables views".split()
)

READS_ENVIRONMENT = frozenset("environ environb getenv getenvb putenv unsetenv".split())
READS_CLOCK = frozenset("now utcnow today".split())


def sql_has_its_rooms(module: Module) -> Iterator[str]:
    if module.path.parts[0] not in ("libs", "services") or module.package == "testkit":
        return
    if module.package == "kernel" and module.path.stem in SQL_KERNEL:
        return
    if module.package == "suite" and module.path.stem.startswith("postgres"):
        return  # It makes the database that the migrations need.
    if module.path.name in SQL_FILES or set(module.path.parts) & set(SQL_FOLDERS):
        return
    for line, text in texts(module):
        if SQL.match(text):
            yield f"{line}: SQL outside projections, queries and migrations: {text.strip()[:60]!r}"


def environment_only_in_settings(module: Module) -> Iterator[str]:
    """Whoever starts processes may hand the environment on to them, but asks it for nothing by name."""
    if module.path.parts[0] == "tests" or module.path.name == "settings.py":
        return
    hands_on = module.package == "suite" or module.path.stem == "process"
    asked = {id(node.value) for node in ast.walk(module.tree) if _asks_by_name(node)}
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ") if hands_on and id(node) not in asked:
                pass
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in READS_ENVIRONMENT:
                yield f"{node.lineno}: os.{name} outside settings"
            case ast.ImportFrom(module="os", names=names) if {alias.name for alias in names} & READS_ENVIRONMENT:
                yield f"{node.lineno}: imports the environment outside settings"


def _asks_by_name(node: ast.AST) -> TypeGuard[ast.Attribute | ast.Subscript]:
    match node:
        case ast.Attribute(attr="get" | "pop" | "setdefault") | ast.Subscript(slice=ast.Constant()):
            return True
    return False


def pure_modules_read_no_clock(module: Module) -> Iterator[str]:
    """Nor any file: what a fold or a verb returns follows from its arguments."""
    for node in ast.walk(module.tree) if is_pure(module) else ():
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in READS_CLOCK:
                yield f"{node.lineno}: a pure module calls {name}()"
            case ast.Call(func=ast.Attribute(attr="GetCurrentTime")):
                yield f"{node.lineno}: a pure module calls GetCurrentTime()"
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
                yield f"{node.lineno}: a pure module calls {name}()"
            case ast.AsyncFunctionDef() if module.is_domain:
                yield f"{node.lineno}: a domain module has a coroutine"


def kernel_spells_no_service(module: Module) -> Iterator[str]:
    """Not in a string either; documentation may give examples."""
    names = "|".join(SERVICES)
    spelt = re.compile(rf"({names})|.*\b(modelog|lifecycle|services)[./]({names})\b.*", re.DOTALL)
    for line, text in texts(module) if module.package == "kernel" else ():
        if spelt.fullmatch(text):
            yield f"{line}: the kernel names a service: {text[:60]!r}"


def files_stay_small(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > FILE_LINES:
        yield f"1: {lines} lines, {FILE_LINES} are allowed"


def functions_stay_small(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} are allowed"


RULES: tuple[Rule, ...] = (
    sql_has_its_rooms,
    environment_only_in_settings,
    pure_modules_read_no_clock,
    kernel_spells_no_service,
    files_stay_small,
    functions_stay_small,
)
