"""Child processes that outlive the service, and are found again by the next one.

A child is started holding a lock on a file, and the operating system gives the lock up when the child ends, however it
ends. So whether it lives is known after any crash, pids that are used again deceive nobody, nothing is started twice.
"""

import fcntl
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.deployment.failpoints import reached
from services.deployment.settings import environment_of_children


def lives(folder: Path) -> bool:
    """Whether the child of this folder runs, whoever started it."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def start(
    folder: Path,
    command: Sequence[str],
    *,
    prepare: Callable[[], None] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes] | None:
    """Starts the child of a folder; None when somebody else was quicker and it runs.

    `prepare` writes what the child reads, once it is certain that no other child of this folder lives.

    Its output goes to <folder>/log, that of the run before is kept as log.before. It gets no MODELOG_* variable, for
    those may name secrets, only the `secrets` that are meant for it; and a session of its own, so that Ctrl-C in a
    terminal reaches only whoever keeps it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / "pid").unlink(missing_ok=True)
        if prepare:
            reached("process.before-order")
            prepare()
        reached("process.before-start")
        with suppress(FileNotFoundError):
            (folder / "log").replace(folder / "log.before")
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment_of_children() | dict(secrets or {}),
                pass_fds=(lock,),
                start_new_session=True,
            )
        reached("process.before-pid")
        (folder / "pid").write_text(str(child.pid))
        return child
    except BlockingIOError:
        return None
    finally:
        os.close(lock)


def signal_child(folder: Path, number: int) -> bool:
    """Sends a signal to the living child of a folder; whether there was one that could be reached."""
    if not lives(folder):
        return False
    try:
        os.kill(int((folder / "pid").read_text()), number)
    except (OSError, ValueError):  # It has just ended; or its starter died, and it has not written its pid itself yet.
        return False
    return True


def tail(folder: Path, most_bytes: int) -> str:
    """The end of what the child printed, with the run before it when there is room: whole lines, so many bytes."""
    parts: list[bytes] = []
    left = most_bytes
    for name in ("log", "log.before"):
        with suppress(FileNotFoundError), (folder / name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - left, 0))
            parts.append(file.read(left))
            left -= len(parts[-1])
    content = b"".join(reversed(parts))
    if len(content) == most_bytes:  # Begin with a whole line, and with a whole character.
        content = content.partition(b"\n")[2] or content
    return content.decode(errors="replace")


def write_private(path: Path, text: str) -> None:
    """Replaces a file that only its owner may read, atomically."""
    beside = path.with_name(path.name + ".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
