"""Real replica processes for tests of what they say."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.deployment.inference.order import Column, Order, to_json
from tests.deployment import models

VERSION = "projects/risk/models/fraud/versions/3"


def order(folder: Path, content: bytes, **values: Any) -> Order:
    uri, digest = models.store(folder / "artifacts", content)
    given = Order(
        replica="r",
        endpoint="projects/risk/endpoints/fraud-eu",
        version=VERSION,
        artifact=str(folder / "artifacts" / uri.removeprefix("cas:")),
        sha256=digest,
        answer_file=str(folder / "answer.json"),
        inputs=tuple(Column(name) for name in models.COLUMNS),
    )
    return replace(given, **values)


def started(given: Order) -> subprocess.Popen[bytes]:
    folder = Path(given.answer_file).parent
    (folder / "order.json").write_text(to_json(given))
    command = [sys.executable, "-m", "services.deployment.inference", str(folder / "order.json")]
    return subprocess.Popen(command)


@contextmanager
def replica(given: Order, *, ends_with: int = 0) -> Iterator[str]:
    """A replica process; its address over HTTP. It is told to end, and must end with that status."""
    with started(given) as process:
        try:
            yield address(process, given)
        finally:
            process.terminate()
            assert process.wait(30) == ends_with


def address(process: subprocess.Popen[bytes], given: Order) -> str:
    """Where it listens, as soon as it says so."""
    answer = Path(given.answer_file)
    while process.poll() is None:
        if answer.exists() and "address" in (said := json.loads(answer.read_text())):
            return str(said["address"])
        time.sleep(0.02)
    raise AssertionError(f"ended with {process.returncode}")


def said(given: Order) -> dict[str, Any]:
    """What it told its driver."""
    answer: dict[str, Any] = json.loads(Path(given.answer_file).read_text())
    return answer
