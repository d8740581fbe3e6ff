"""Rules about any text file of the project: it names no place that only one machine or one company has."""

import re
from collections.abc import Callable, Iterator

TextRule = Callable[[str], Iterator[str]]

# Put together, so that this file keeps its own rule.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
    )
)
REGISTRY = re.compile("|".join(rf"\b{re.escape(host)}\b" for host in HOSTS))
INDEX_OPTION = re.compile(r"--(extra-)?index-url[ =]|--registry[ =]|\bindex-url\s*=", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.$}*-])/(root|work|home|Users|opt)/[\w.]")
CONFLICT = re.compile(r"(<<<<<<<|>>>>>>>) ")


def _lines(text: str, pattern: re.Pattern[str], what: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = pattern.search(line)
        if found:
            yield f"{number}: {what}: {found.group()!r}"


def no_package_registry(text: str) -> Iterator[str]:
    """Where packages come from is the machine's own configuration."""
    yield from _lines(text, REGISTRY, "names a package registry")
    yield from _lines(text, INDEX_OPTION, "chooses a package registry")


def no_machine_path(text: str) -> Iterator[str]:
    yield from _lines(text, MACHINE_PATH, "a path of one machine")


def no_conflict_marker(text: str) -> Iterator[str]:
    yield from _lines(text, CONFLICT, "a conflict left over")


RULES: tuple[TextRule, ...] = (no_package_registry, no_machine_path, no_conflict_marker)
