"""Files that survive a crash: written beside, synced, renamed; or appended line by line."""

import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """After this returns the file has the new content even if the power fails; before, the old one or none."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    write_synced(beside, content, mode)
    beside.replace(path)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A new file with its content on the disk. FileExistsError when it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def append_line(path: Path, value: dict[str, Any]) -> None:
    """One line of JSON at the end of the file, on the disk when this returns."""
    new = not path.exists()
    with path.open("ab") as file:
        file.write(json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)


def drop_torn_line(path: Path) -> None:
    """Cuts off what a crash left of a line that was being appended: nobody was told of it."""
    if not path.exists():
        return
    content_end = path.stat().st_size
    with path.open("rb+") as file:
        while content_end:
            step = min(4096, content_end)
            file.seek(content_end - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                file.truncate(content_end - step + found + 1)
                return
            content_end -= step
        file.truncate(0)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """The value in a file; None when there is no file."""
    return json.loads(path.read_bytes()) if path.exists() else None


def write_json(path: Path, value: Any) -> None:
    """One value as the whole content of a file."""
    write_atomically(path, (json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_lines(path: Path) -> list[Any]:
    """The value in each whole line of a file; none when there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
