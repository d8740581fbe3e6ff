"""What is installed is pinned, hashed and explained."""

import re
import tomllib

import pytest

from tests.house.tree import ROOT

LOCKS = (
    "requirements.lock",
    "protos/requirements.lock",
    "tests/oracle/requirements.lock",
    "tests/mlflow/requirements.lock",
    "tests/deployment/drivers/schemas/requirements.lock",
)


def declared() -> dict[str, list[str]]:
    """Dependencies of each group of pyproject.toml, as written; `base` for those of the client."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"base": project["dependencies"], **project["optional-dependencies"]}


def distribution(requirement: str) -> str:
    """The name in its normal form: `grpcio-status` of `grpcio_status>=1.76`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def locked(lock: str) -> dict[str, str]:
    """What a lock says of each distribution: all lines of its entry."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8").strip())
    return {distribution(entry.replace("==", " ")): entry for entry in entries}


@pytest.mark.parametrize("group", sorted(declared()))
def test_what_is_declared_is_locked(group: str) -> None:
    missing = {distribution(one) for one in declared()[group]} - set(locked(LOCKS[0]))
    assert not missing, f"run `make lock`: {', '.join(sorted(missing))} of {group}"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_hashes_and_no_address(lock: str) -> None:
    for name, entry in locked(lock).items():
        first, *hashes = entry.splitlines()
        assert re.match(r"[a-z0-9-]+==\S+", first), f"{lock}: {first}"
        assert hashes, f"{lock}: {name} has no hash"
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), f"{lock}: {name}"


def test_every_dependency_says_what_it_is_for() -> None:
    wanted = {one for group in declared().values() for one in group}
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    silent = [one for one in wanted if not any(f'"{one}",' in line and "# " in line for line in lines)]
    assert not silent


def test_the_generator_is_the_one_the_client_can_run() -> None:
    """grpcio-tools decides the oldest protobuf that the generated code runs on; see protos/requirements.in."""
    assert locked(LOCKS[1])["grpcio-tools"].startswith("grpcio-tools==1.76.0 ")


def test_rules_and_their_enforcer_are_of_one_version() -> None:
    generator, server = (locked(lock)["protovalidate"].split()[0] for lock in LOCKS[:2])
    assert generator == server
