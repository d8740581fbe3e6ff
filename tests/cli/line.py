"""The command line as a test runs it: in this process, with what it printed and its exit status."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelog.cli.main import main

_MODELOG = [sys.executable, "-c", "import sys; from modelog.cli.main import main; sys.exit(main())"]


@dataclass(frozen=True)
class Result:
    """What a run left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def rows(self) -> list[list[str]]:
        """The table's lines as words, its titles first."""
        return [line.split() for line in self.out.splitlines()]


class CommandLine:
    """`line("projects", "list")` runs `modelog projects list` in a folder; a status other than `expect` is an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: object, expect: int = 0) -> Result:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([str(argument) for argument in arguments])
        result = Result(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))
        assert result.status == expect, f"{arguments}: {result}"
        return result

    def json(self, *arguments: object, expect: int = 0) -> Any:
        """What a run with --json printed."""
        return self("--json", *arguments, expect=expect).json()

    def file(self, name: str, content: Any) -> Path:
        """A file in the folder: text as it is, anything else as JSON."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def start(self, *arguments: object, code: str = "", **environment: str) -> "subprocess.Popen[str]":
        """A process of its own; `code` runs first in it."""
        command = [*_MODELOG[:2], f"{code}\n{_MODELOG[2]}", *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def run(self, *arguments: object, code: str = "", **environment: str) -> Result:
        """A process of its own, to its end."""
        process = self.start(*arguments, code=code, **environment)
        out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)
