"""Where declarations come from: what is recorded as the reason of every fact that they lead to."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

_GIT_SECONDS = 30.0
_MOST_CHARACTERS = 1024
_COMMIT_CHARACTERS = 12


def reason_for(paths: Sequence[Path], more: str = "") -> str:
    """`apply models/modelog.yaml at 3f2a1c9d0b1e`: the files as git knows them, and the commit.

    `(modified)` behind it means that they differ from what the commit holds. Without git it is the files alone.
    more: what a person says besides, put in front.
    """
    named = [path for path in paths if str(path) != "-"]
    places = [_place(path) for path in named]
    words = ", ".join(place for place, _ in places) or "standard input"
    commits = dict.fromkeys(commit for _, commit in places if commit)
    text = f"apply {words}" + (f" at {', '.join(commits)}" if commits else "")
    return f"{more}: {text}"[:_MOST_CHARACTERS] if more else text[:_MOST_CHARACTERS]


def _place(path: Path) -> tuple[str, str]:
    """The path inside its git working tree and the commit; the name of the file alone where there is no tree."""
    folder = path if path.is_dir() else path.parent
    top, commit = _git(folder, "rev-parse", "--show-toplevel"), _git(folder, "rev-parse", "HEAD")
    if not top or not commit:
        return path.name, ""
    inside = path.resolve().relative_to(Path(top).resolve()).as_posix()
    changed = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", str(path.resolve()))
    return inside, commit[:_COMMIT_CHARACTERS] + (" (modified)" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    """What git says; empty when it says nothing or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
