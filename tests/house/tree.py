"""The tree as the house rules see it: handwritten Python files, parsed once, and all the text files of the project."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("libs", "services", "tests", "protos")
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


@dataclass(frozen=True)
class Module:
    """One handwritten Python file: its path from the root of the project, and its text."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def service(self) -> str:
        """The service it belongs to; empty outside services/."""
        return self.path.parts[1] if self.path.parts[0] == "services" and len(self.path.parts) > 2 else ""

    @property
    def package(self) -> str:
        """The first package as it is imported: `kernel` for libs/kernel/names.py, `services`, `tests`."""
        return self.path.parts[1] if self.path.parts[0] == "libs" else self.path.parts[0]

    @property
    def dotted(self) -> str:
        """The name it is imported by; a package's by the name of the package."""
        parts = self.path.with_suffix("").parts[self.path.parts[0] == "libs" :]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_domain(self) -> bool:
        return bool(self.service) and (self.path.name.startswith("domain") or "domain" in self.path.parts)


@cache
def modules() -> tuple[Module, ...]:
    """Every handwritten Python file of the project."""
    found = (PurePosixPath(name) for name in tracked() if name.endswith(".py") and not name.endswith(GENERATED))
    ours = (path for path in found if path.parts[0] in CODE_FOLDERS)
    return tuple(Module(path, (ROOT / path).read_text(encoding="utf-8")) for path in ours)


@cache
def tracked() -> tuple[str, ...]:
    """Files that are in git or would be added to it; ignored ones are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return tuple(sorted(name for name in names if name and (ROOT / name).is_file()))


def services() -> tuple[str, ...]:
    """The services that have a room with code in it."""
    return tuple(sorted({module.service for module in modules() if module.service}))


def imports(module: Module, *, at_import_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports; of `from a import b` both `a` and `a.b`.

    at_import_only: leaves out what is imported inside functions, so only when they are called.
    """
    for node in _statements(module.tree) if at_import_only else ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below a node but the insides of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _statements(child)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.path.parts[1:] if module.path.parts[0] == "libs" else module.path.parts
    return ".".join([*parts[: -node.level], *([node.module] if node.module else [])])


def texts(module: Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every string in the code, f-strings with `?` for their values; documentation is left out."""
    documentation = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "?" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | inside:
            yield node.lineno, node.value
