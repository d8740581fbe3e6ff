"""Prints the part of requirements.lock that some extras of pyproject.toml need: pick.py server inference > picked.lock

One lock pins everything; an image installs only what its service runs on, still version by version and hash by hash.
pip works out which packages that is, from their metadata, with the lock's versions as constraints.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(lock: str) -> dict[str, str]:
    """The lock by package: the line with the version and the lines with its hashes."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==", line):
            name = normal(match.group(1))
        if name:
            found[name] = found.get(name, "") + line + "\n"
    return found


def normal(name: str) -> str:
    """Names of packages compare without case, and with one sign for -, _ and dot."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(extras: list[str], pins: dict[str, str]) -> set[str]:
    """Every package that the client's dependencies and those of the extras come to on this machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder) / "constraints.txt", Path(folder) / "report.json"
        # A pin may carry a condition, but not its hashes: pip wants them for all or none.
        versions = [line.rstrip("\\ ") for pin in pins.values() for line in pin.splitlines() if line[0] != " "]
        constraints.write_text("\n".join(versions) + "\n")
        resolve = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*resolve, "--report", str(report), "-c", str(constraints), *wanted], check=True)
        return {normal(one["metadata"]["name"]) for one in json.loads(report.read_text())["install"]}


def main() -> None:
    pins = blocks((ROOT / "requirements.lock").read_text())
    names = needed(sys.argv[1:], pins)
    if missing := names - pins.keys():
        sys.exit(f"not in requirements.lock: {', '.join(sorted(missing))}; run make lock")
    sys.stdout.write("".join(pins[name] for name in sorted(names)))


if __name__ == "__main__":
    main()
