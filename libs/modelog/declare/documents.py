"""Files into documents: each declares one resource."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelog.declare.kinds import BY_WORD, KINDS, Kind, fields_of, full_name, resource_of
from modelog.declare.problems import Problem, Problems, suggestion
from modelog.declare.reading import Place, Reader, line_of

_MOST_BYTES = 1024 * 1024
_MOST_FILES = 1000
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Document:
    """What a file says of one resource: `said` holds it, `lines` tells where each part stands."""

    kind: Kind
    name: str
    said: Any
    file: str
    line: int
    lines: dict[Place, int] = field(default_factory=dict)

    def fields(self) -> list[str]:
        """The fields it says anything of."""
        return [str(place[0]) for place in self.lines if len(place) == 1]

    def problem(self, place: Place, text: str) -> Problem:
        """A problem at the innermost part of a place that stands in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return Problem(self.file, self.lines.get(place, self.line), text)


def read_files(paths: Iterable[Path], *, standard_input: str = "") -> list[Document]:
    """The documents of files and of folders with all YAML files below them, in an order in which they can be applied.

    `-` is `standard_input`. Problems when anything is wrong with any of them.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for path in _files(paths):
        try:
            text = standard_input if str(path) == "-" else _text(path)
            documents += read_text(text, "standard input" if str(path) == "-" else str(path))
        except Problems as found:
            problems += found.problems
    problems += _twice(documents)
    if problems:
        raise Problems(problems)
    order = {kind.word: place for place, kind in enumerate(KINDS)}
    return sorted(documents, key=lambda one: order[one.kind.word])


def read_text(text: str, file: str) -> list[Document]:
    """The documents of one file, as they stand in it."""
    reader = Reader(file)
    documents: list[Document] = []
    try:
        found = (_document(reader, node) for node in yaml.compose_all(text, Loader=yaml.SafeLoader))
        documents.extend(one for one in found if one is not None)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reader.problems.append(Problem(file, mark.line + 1 if mark else 0, f"no YAML: {error.problem}"))
    except yaml.YAMLError as error:
        reader.problems.append(Problem(file, 0, f"no YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        reader.problems.append(Problem(file, 0, "no YAML that can be read: it is nested too deeply"))
    if reader.problems:
        raise Problems(reader.problems)
    return documents


def read_fields(path: Path, into: Any, names: Sequence[str], *, alone: str) -> None:
    """Fills these fields of a message from a file; what is written without them is the field `alone`. Problems."""
    reader = Reader(str(path))
    fields = {name: into.DESCRIPTOR.fields_by_name[name] for name in names}
    try:
        for node in yaml.compose_all(_text(path), Loader=yaml.SafeLoader):
            pairs = reader.pairs(node, "the file")
            known = {*fields, *(one.json_name for one in fields.values())}
            if not known & {word for word, _, _ in pairs}:
                pairs = [(alone, node, node)]
            reader.fields(into, pairs, fields, (), {})
    except yaml.YAMLError as error:
        reader.problems.append(Problem(str(path), 0, f"no YAML: {' '.join(str(error).split())}"))
    if reader.problems:
        raise Problems(reader.problems)


def _document(reader: Reader, node: Any) -> Document | None:
    """None for an empty document, and for one that is too wrong to be read."""
    if isinstance(node, yaml.ScalarNode) and node.value == "":
        return None
    pairs = {word: (key, value) for word, key, value in reader.pairs(node, "a document")}
    if not pairs:
        return None
    head = {}
    for word in ("kind", "name"):
        value = pairs.pop(word, (None, None))[1]
        if not isinstance(value, yaml.ScalarNode):
            reader.wrong(value or node, f"say the {word} of what is declared: `{word}: ...`")
            return None
        head[word] = value
    kind = BY_WORD.get(head["kind"].value)
    if kind is None:
        word = head["kind"].value
        reader.wrong(head["kind"], f"{word!r} is no kind that is declared{suggestion(word, BY_WORD)}")
        return None
    try:
        name = full_name(head["name"].value, kind.pattern)
    except ValueError as error:
        reader.wrong(head["name"], f"name: {error}")
        return None
    said, lines = resource_of(kind)(), dict[Place, int]()
    rest = [(word, key, value) for word, (key, value) in pairs.items()]
    reader.fields(said, rest, fields_of(kind), (), lines)
    return Document(kind, name, said, reader.file, line_of(node), lines)


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
            if not inside:
                raise Problems([Problem(str(path), 0, "there is no .yaml file in this folder")])
            found += inside
        else:
            found.append(path)
    if len(found) > _MOST_FILES:
        raise Problems([Problem(str(found[0].parent), 0, f"more than {_MOST_FILES} files")])
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Problems([Problem(str(path), 0, f"more than {_MOST_BYTES} bytes; split it")])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problems([Problem(str(path), 0, f"no text in UTF-8: {error.reason}")]) from error
    except OSError as error:
        raise Problems([Problem(str(path), 0, error.strerror or str(error))]) from error


def _twice(documents: Sequence[Document]) -> list[Problem]:
    first: dict[tuple[str, str], Document] = {}
    problems = []
    for one in documents:
        known = first.setdefault((one.kind.word, one.name), one)
        if known is not one:
            where = f"{known.file}:{known.line}"
            problems.append(Problem(one.file, one.line, f"{one.name} is declared twice, first at {where}"))
    return problems
