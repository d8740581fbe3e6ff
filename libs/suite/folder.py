"""What a server needs of its folder and its machine: one owner at a time, a free port, secrets."""

import contextlib
import fcntl
import os
import random
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

# Below the ports that outgoing connections get: there a chosen port can be taken between two starts, and who knocks on
# a closed one can end up connected to itself.
_PORTS = range(12_000, 32_000)


class FolderInUse(Exception):
    """Another process runs in this folder."""


class Lock:
    """Holds a folder for this process. The lock ends with the process, however it ends; the file stays."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises FolderInUse at once when somebody holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 64, 0).decode(errors="replace").strip()
            os.close(file)
            raise FolderInUse(
                f"{self._path.parent} is in use by process {holder or 'unknown'}: stop it, or choose another folder"
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def free_ports(host: str = "127.0.0.1") -> Iterator[int]:
    """Ports nobody listens on just now, in random order, so that suites side by side seldom want the same one."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # As servers do: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                yield port


def free_port(host: str = "127.0.0.1") -> int:
    return next(free_ports(host))


def secret(path: Path) -> str:
    """The secret kept in `path`, made at first use, readable by the owner only. Starts with a letter, so that no
    configuration language takes it for a number."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(path, "s" + secrets.token_hex(24))
    return path.read_text().strip()


def replace(path: Path, content: str) -> None:
    """Writes a file that its owner only may read; whoever reads it meanwhile gets the former content or this one."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with contextlib.closing(os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w")) as file:
        file.write(content)
    new.replace(path)
