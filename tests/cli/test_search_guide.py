"""docs/guides/search.md says what is so: its commands are run, and bring what stands behind the #."""

import contextlib
import re
import shlex
from pathlib import Path
from typing import Any

from services.registry.searchable import SEARCHABLES
from tests.cli.line import CommandLine

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "search.md"
TEXT = GUIDE.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_every_command_of_the_guide_brings_what_it_says(line: CommandLine) -> None:
    line.file("model.onnx", "weights")
    checked = 0
    for command in "".join(blocks("bash")).splitlines():
        if not command:
            continue
        words, _, said = command.partition(" # ")
        program, *arguments = shlex.split(words)
        assert program == "modelog"
        if not said:
            line(*arguments)
            continue
        found = line.json(*arguments)
        assert [one["name"].rpartition("/")[2] for one in found] == said.split(), command
        checked += 1
    assert checked > 20
    (python,) = blocks("python")
    with contextlib.chdir(line.folder):
        made: dict[str, Any] = {}
        exec(compile(python, str(GUIDE), "exec"), made)
    assert [name.rpartition("/")[2] for name in made["found"]] == ["3", "1"]
    assert {hit.name.rpartition("/")[2] for hit in made["hits"]} == {"1", "2"}


def test_the_guide_names_every_field() -> None:
    named = set(re.findall(r"[a-z_0-9.]+", TEXT.partition("## Fields")[2]))
    for searchable in SEARCHABLES:
        for field in searchable.fields():
            if field.type.name != "WORDS":
                path = field.path + "." if field.depth else field.path
                assert path in named or field.path in named, f"{field.path} of {searchable.kind.table}"
