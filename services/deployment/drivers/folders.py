"""What stands in the folder of a replica that is a process, and what follows from it."""

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.deployment.drivers import child
from services.deployment.drivers.port import Key, Workload
from services.deployment.drivers.starts import Starts
from services.deployment.failpoints import reached

_LOOP_ENDS = 3


def stem(key: Key) -> str:
    _, project, _, endpoint = key.endpoint.split("/")
    _, _, _, model, _, number = key.version.split("/")
    return f"{project}_{endpoint}_{model}_{number}"


def ids(workload: Workload) -> list[str]:
    """`risk_fraud-eu_fraud_3_1`: the first replica of version 3 of fraud on fraud-eu."""
    return [f"{stem(workload.key)}_{index + 1}" for index in range(workload.replicas)]


def forget(path: Path) -> None:
    """The order goes last, for by it the folder is found again when this is not finished."""
    for file in path.iterdir():
        if file.name != "order.json":
            file.unlink()
    reached("process.before-forget")
    shutil.rmtree(path, ignore_errors=True)


def key(path: Path) -> Key:
    order = _json(path, "order.json")
    return Key(order.get("endpoint", ""), order.get("version", ""))


def told(path: Path) -> str:
    return str(_json(path, "order.json").get("sha256", ""))


def starts(path: Path) -> Starts:
    known = _json(path, "starts.json")
    return Starts(int(known.get("count", 0)), float(known.get("at", 0.0)), str(known.get("why", "")))


def write_starts(path: Path, starts: Starts) -> None:
    child.write_private(path / "starts.json", json.dumps(asdict(starts)))


def why_down(path: Path, status: int | None, starts: Starts) -> str:
    ended = answer(path).get("ended")
    how = f", last with status {status}" if status is not None else ""
    how += f": {ended}" if ended else ""
    if starts.count < _LOOP_ENDS:
        return f"{path.name} is not running{how}"
    wait = starts.wait_seconds(time.time())
    return f"{path.name} has ended {starts.count} times{how}; it is started again in {wait:.0f} s"


def run(path: Path) -> str:
    try:
        return (path / "pid").read_text()
    except OSError:  # Whoever started it died before it could say so.
        return ""


def memory(pid: str) -> int:
    """Resident bytes of a process; 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def answer(path: Path) -> dict[str, Any]:
    return _json(path, "answer.json")


def _json(path: Path, name: str) -> dict[str, Any]:
    # As texts and bytes: of hundreds of replicas each is read every few seconds.
    try:
        with open(f"{path}/{name}", "rb") as file:  # noqa: PTH123
            content: dict[str, Any] = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return content
