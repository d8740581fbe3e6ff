"""Where code came from, and getting it back: the git command, without a shell, for a limited time."""

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from modelog.sdk import settings

if TYPE_CHECKING:
    from modelog.registry.v1.types_pb2 import GitSource

_SECONDS = 30.0
_FETCH_SECONDS = 600.0
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
# What a recorded address may be: no `ext::`, which runs a command, and nothing that git would take for an option.
_SCHEMES = frozenset(["https", "http", "ssh", "git", "file"])
_SCP = re.compile(r"(?!-)[\w.+-]+(@(?!-)[\w.-]+)?:(?!:)(?!-)[^\s:][^\s]*")
# Whatever the address, git itself may use no other transport, asks nobody for a password and runs no hooks of others.
_GUARD = ("-c", "protocol.allow=never", *(part for one in ("https", "http", "ssh", "git", "file")
          for part in ("-c", f"protocol.{one}.allow=always")), "-c", f"core.hooksPath={os.devnull}",
          "-c", "core.fsmonitor=false", "-c", "core.symlinks=false")  # fmt: skip


class GitFailed(ValueError):
    """What git said, in a sentence."""


def git_source(path: str | Path = ".") -> "GitSource":
    """The commit of the working tree that a file or folder lies in, and whether the tree differs from it.

    ValueError when it is in none, or git is not there. Credentials inside the repository's address are left out.
    """
    from modelog.registry.v1.types_pb2 import GitSource

    place = Path(path).resolve()
    folder = place if place.is_dir() else place.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    inside = place.relative_to(Path(top).resolve()).as_posix()
    return GitSource(
        repository=without_credentials(_git(folder, "config", "--get", "remote.origin.url", default="") or top),
        commit=_git(folder, "rev-parse", "HEAD", default=""),
        branch=_git(folder, "symbolic-ref", "--short", "--quiet", "HEAD", default=""),
        path="" if inside == "." else inside,
        dirty=bool(_git(folder, "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=normal")),
    )


def source_around(path: Path) -> "GitSource | None":
    """The same, or None outside of any working tree and without git."""
    try:
        return git_source(path)
    except ValueError:
        return None


def checkout(source: "GitSource", into: Path) -> Path:
    """Restores the code of a version in a new folder; ValueError when nothing may or can be restored.

    When the working tree that one stands in, or that the folder comes to lie in, has the commit, the folder becomes a
    worktree of it; else the repository is cloned.
    """
    if into.exists():
        raise ValueError(f"{into} exists already, and nothing is overwritten; name another folder")
    if not _COMMIT.fullmatch(source.commit):
        raise ValueError("the version names no commit, so there is nothing to restore")
    nearest = next(one for one in into.resolve().parents if one.is_dir())
    for tree in (Path.cwd(), nearest):
        if _is_of(source, tree):
            _git(tree, *_GUARD, "worktree", "add", "--detach", "--quiet", str(into.resolve()), source.commit)
            return into
    address = checked_address(source.repository)
    try:
        clone = ("clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--", address, str(into.resolve()))
        _git(nearest, *_GUARD, *clone, seconds=_FETCH_SECONDS)
        _git(into, *_GUARD, "checkout", "--quiet", "--detach", f"{source.commit}^{{commit}}")
    except GitFailed:
        _remove(into)
        raise
    return into


def checked_address(address: str) -> str:
    """The address of a repository, or ValueError for one that could make git run something."""
    scheme, separator, _ = address.partition("://")
    host = urlsplit(address).netloc.rpartition("@")[2] if separator else ""
    local = address.startswith("/") and not separator
    known = scheme in _SCHEMES and (scheme == "file" or (host and not host.startswith("-")))
    printable = address.isprintable() and not any(one.isspace() for one in address)
    if printable and (local or (separator and known) or (not separator and _SCP.fullmatch(address))):
        return address
    raise ValueError(f"the version's repository {address[:200]!r} is no address that is cloned from; clone it yourself")


def _is_of(source: "GitSource", folder: Path) -> bool:
    """Whether a folder lies in a working tree of that repository which has the commit."""
    around = source_around(folder)
    if around is None or around.repository != source.repository:
        return False
    return bool(_git(folder, "rev-parse", "--verify", "--quiet", f"{source.commit}^{{commit}}", default=""))


def without_credentials(address: str) -> str:
    parts = urlsplit(address)
    if not parts.scheme or "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _git(folder: Path, *arguments: str, default: str | None = None, seconds: float = _SECONDS) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", timeout=seconds, check=False, stdin=subprocess.DEVNULL,
            env=settings.unattended(GIT_TERMINAL_PROMPT="0"),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git could not be run: {error}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    if default is not None:
        return default
    said = done.stderr.strip().splitlines()
    if arguments[:1] == ("rev-parse",):
        raise GitFailed(f"{folder} is in no git working tree: {' '.join(said)}")
    raise GitFailed(f"git: {' '.join(said)[:500]}")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
