"""Where code came from, and getting it back without running what the address says."""

import subprocess
from pathlib import Path

import pytest

from modelog.registry.v1.types_pb2 import GitSource
from modelog.sdk import git_source
from modelog.sdk.git import checked_address, checkout, source_around


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree of one commit."""
    folder = tmp_path / "code"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "fit.py").write_text("print('fit')\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    for arguments in (
        ["init", "--initial-branch=main", "--quiet"],
        ["add", "."],
        [*identity, "commit", "--quiet", "--message=Fit"],
        ["remote", "add", "origin", "https://ada:secret@git.example.test/risk/fraud.git"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder


def test_the_commit_of_a_working_tree_without_anybodys_password(tree: Path) -> None:
    source = git_source(tree / "training" / "fit.py")
    head = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert source.commit == head.stdout.strip()
    assert source.repository == "https://git.example.test/risk/fraud.git"
    assert (source.branch, source.path, source.dirty) == ("main", "training/fit.py", False)
    (tree / "new.txt").write_text("not committed")
    changed = git_source(tree)
    assert (changed.path, changed.dirty) == ("", True)


def test_a_folder_outside_any_tree_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ValueError, match="no git working tree"):
        git_source(tmp_path)


def commit_of(folder: Path) -> str:
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_outside_of_any_tree_there_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_around(tmp_path) is None


def test_code_is_restored_as_a_worktree_where_the_commit_is(tree: Path, tmp_path: Path) -> None:
    source = git_source(tree)
    (tree / "training" / "fit.py").write_text("print('later')\n")
    into = checkout(source, tree / "old")
    assert (into / "training" / "fit.py").read_text() == "print('fit')\n"
    assert commit_of(into) == source.commit
    assert (tree / "training" / "fit.py").read_text() == "print('later')\n"


def test_a_worktree_may_lie_anywhere(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remote of the tree answers nobody, so nothing can have been cloned."""
    monkeypatch.chdir(tree / "training")
    into = checkout(git_source(tree), tmp_path / "outside")
    assert (into / ".git").is_file()
    assert commit_of(into) == commit_of(tree)


def test_code_is_cloned_elsewhere(tree: Path, tmp_path: Path) -> None:
    (tree / ".git" / "hooks" / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    source = GitSource(repository=str(tree), commit=commit_of(tree))
    into = checkout(source, tmp_path / "elsewhere" / "code")
    assert (into / "training" / "fit.py").read_text() == "print('fit')\n"
    assert commit_of(into) == source.commit
    assert not (tmp_path / "hooked").exists()


def test_nothing_is_overwritten_and_what_fails_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    source = GitSource(repository=str(tree), commit=commit_of(tree))
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="nothing is overwritten"):
        checkout(source, tmp_path / "mine")
    with pytest.raises(ValueError, match="git"):
        checkout(GitSource(repository=str(tree), commit="ab" * 20), tmp_path / "new")
    with pytest.raises(ValueError, match="git"):
        checkout(GitSource(repository=str(tmp_path / "none"), commit="ab" * 20), tmp_path / "new")
    with pytest.raises(ValueError, match="no commit"):
        checkout(GitSource(repository=str(tree), commit="--help"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


HOSTILE = [
    "ext::sh -c touch% PWNED", "ext::touch PWNED", "--upload-pack=touch PWNED", "-u touch", "fd::17", "https://-oProxy/x",
    "ssh://-oProxyCommand=touch/x", "-oProxyCommand=touch:x", "git@-oProxyCommand=touch:x", "a:-b", "", "x y:z",
    "https://a/\nb", "javascript://a/b", "host::x", "../relative", "transport::https://a/b", "ftp://a/b", "https://",
]  # fmt: skip


@pytest.mark.parametrize("address", HOSTILE)
def test_addresses_that_could_run_something_are_not_cloned(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no address that is cloned from"):
        checkout(GitSource(repository=address, commit="ab" * 20), tmp_path / "code")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.test/a/b.git",
        "ssh://git@git.example.test:22/a",
        "git@git.example.test:a/b.git",
        "/srv/a.git",
    ],
)
def test_addresses_of_repositories_are_cloned(address: str) -> None:
    assert checked_address(address) == address


def test_git_itself_refuses_transports_that_run_commands(tmp_path: Path) -> None:
    """The second line of defence, should an address get by the first."""
    from modelog.sdk.git import _GUARD, GitFailed, _git

    with pytest.raises(GitFailed, match="not allowed"):
        _git(tmp_path, *_GUARD, "clone", "--", f"ext::touch {tmp_path}/pwned", str(tmp_path / "x"))
    assert not (tmp_path / "pwned").exists()
