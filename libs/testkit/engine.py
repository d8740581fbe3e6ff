"""A real Docker Engine of the tests' own: `dockerd` with its data, sockets and pids in folders that nobody else uses.

Needs root and Debian's packages docker.io and debootstrap (`make test-docker` installs them). No registry is asked: the
base image is made by debootstrap, once, and kept with everything else under the data folder. What replicas run in is
built from deploy/serving.Dockerfile by this engine, so the tests run the image that people build.
"""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx

ROOT = Path(__file__).parents[2]
BASE, SERVING = "modelog-test-base:bookworm", "modelog-serving:test"
_SUITE, _MIRROR = "bookworm", "http://deb.debian.org/debian"
_CONTEXT = ("pyproject.toml", "requirements.lock", "deploy", "libs/kernel", "libs/modelog", "services/deployment")
_START_SECONDS, _STOP_SECONDS, _BUILD_SECONDS = 30.0, 40.0, 900.0


class NoEngine(Exception):
    """No engine can be started here; the text says what is missing."""


class Engine:
    """One `dockerd`. data: images and containers, kept between runs; all else lies in a folder that goes with it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        # Sockets have short paths, whatever the tests' folder is called.
        self.folder = Path(tempfile.mkdtemp(prefix="modelog-engine-"))
        self.socket = self.folder / "sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Starts it and waits until it answers. NoEngine with the end of its log when it does not."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if self.call("GET", "/_ping").is_success:
                    return
            time.sleep(0.1)
        said = (self.folder / "log").read_text()[-1000:]
        self.stop()
        raise NoEngine(f"dockerd does not start here: {said}")

    def _command(self) -> list[str]:
        # No bridge and no rules of its own: the network of the tests is made through the engine, and several engines
        # of one machine would fight over docker0.
        quiet = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=warn"]
        places = ["--data-root", str(self.data), "--exec-root", str(self.folder / "exec")]
        return ["dockerd", *places, "--pidfile", str(self.folder / "pid"), "--host", self.host, *quiet]

    def kill(self) -> None:
        """As when it is killed for want of memory: containers go on, and the next engine finds them.

        containerd dies with it. Where nobody reaps it, its pid looks alive to the next engine, which would wait for it.
        """
        if self.process:
            self.process.kill()
            self.process.wait()
        self._end_containerd()
        (self.folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """In order: containers end first, those that have a policy come back with the next start."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
        self.kill()

    def _end_containerd(self) -> None:
        pid = self.folder / "exec/containerd/containerd.pid"
        with suppress(OSError, ValueError):
            number = int(pid.read_text())
            if b"containerd" in Path(f"/proc/{number}/cmdline").read_bytes():
                os.kill(number, signal.SIGKILL)
        pid.unlink(missing_ok=True)

    def call(self, method: str, path: str, *, timeout: float = 60.0, **more: Any) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.socket))
        with httpx.Client(transport=transport, base_url="http://engine/v1.41", timeout=timeout) as client:
            return client.request(method, path, **more)

    def get(self, path: str, **params: str) -> Any:
        answer = self.call("GET", path, params=params)
        answer.raise_for_status()
        return answer.json()

    def has(self, image: str) -> bool:
        return self.call("GET", f"/images/{image}/json").is_success

    def prepare(self) -> None:
        """Makes the base image unless it is there, and builds what replicas run in, of the present code."""
        if not self.has(BASE):
            self._import_base()
        self.build(SERVING, target="runtime", args={"BASE": BASE, **_index()})

    def _import_base(self) -> None:
        print(f"making {BASE} with debootstrap, once", file=sys.stderr)  # noqa: T201 - It takes half a minute.
        with tempfile.TemporaryDirectory(prefix="modelog-base-") as made:
            packages = "--include=python3,python3-venv,ca-certificates"
            command = ["debootstrap", "--variant=minbase", packages, _SUITE, made, _MIRROR]
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise NoEngine(f"debootstrap failed: {done.stdout[-1000:]}")
            _as_here(Path(made))
            with tempfile.TemporaryFile() as file:
                pack = ["tar", "--exclude=./var/cache/apt/archives/*", "-C", made, "-c", "."]
                subprocess.run(pack, stdout=file, check=True)
                file.seek(0)
                repository, _, tag = BASE.partition(":")
                query = {"fromSrc": "-", "repo": repository, "tag": tag}
                answer = self.call("POST", "/images/create", params=query, content=file, timeout=_BUILD_SECONDS)
                answer.raise_for_status()

    def build(self, tag: str, *, args: dict[str, str], target: str = "", more: dict[str, bytes] | None = None) -> str:
        """Builds deploy/serving.Dockerfile as `docker build` would; the last lines of what it says. RuntimeError."""
        query = {
            "t": tag,
            "dockerfile": "deploy/serving.Dockerfile",
            "target": target,
            "networkmode": "host",
            "buildargs": json.dumps(args),
        }
        headers = {"Content-Type": "application/x-tar"}
        content = _context(more or {})
        answer = self.call("POST", "/build", params=query, content=content, headers=headers, timeout=_BUILD_SECONDS)
        lines = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
        said = "".join(line.get("stream", line.get("error", "")) for line in lines)[-2000:]
        if not answer.is_success or any("error" in line for line in lines):
            raise RuntimeError(f"deploy/serving.Dockerfile cannot be built: {said}")
        return said

    def clear(self) -> None:
        """Takes away containers and networks that a run before this one has left."""
        for one in self.get("/containers/json", all="1"):
            self.call("DELETE", f"/containers/{one['Id']}", params={"force": "1", "v": "1"})
        self.call("POST", "/networks/prune")

    def close(self) -> None:
        """Ends it with all its containers, also those that a killed engine has left running."""
        if self.process and self.process.poll() is not None:
            with suppress(NoEngine):
                self.start()
        self.stop()
        for line in Path("/proc/mounts").read_text().splitlines():  # Namespaces of networks that it leaves mounted.
            if (place := line.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def engine(data: Path) -> Iterator[Engine]:
    """An engine over a data folder, alone on it; NoEngine where none can be started."""
    missing = [name for name in ("dockerd", "containerd", "runc", "debootstrap") if shutil.which(name) is None]
    if missing:
        raise NoEngine(f"{', '.join(missing)} not installed; `make test-docker` does it, as root")
    if os.geteuid() != 0:
        raise NoEngine("only root may start dockerd")
    data.mkdir(parents=True, exist_ok=True)
    with data.with_name(data.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Engine(data)
        try:
            made.start()
            made.clear()
            yield made
        finally:
            made.close()


def _as_here(root: Path) -> None:
    """pip in the image trusts whom this machine trusts."""
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        shutil.copy(authorities, root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")


def _index() -> dict[str, str]:
    """Where this machine's pip finds packages, if it is told to look anywhere else than usual."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.strip()
    return {"PIP_INDEX_URL": index} if index else {}


def _context(more: dict[str, bytes]) -> bytes:
    """What `docker build .` would send, of what the Dockerfile copies; files as old as each other, for its cache."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in _CONTEXT:
            top = ROOT / name
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file() and "__pycache__" not in path.parts:
                    info = tarfile.TarInfo(str(path.relative_to(ROOT)))
                    info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
                    info.size = path.stat().st_size
                    with path.open("rb") as file:
                        archive.addfile(info, file)
        for name, content in more.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o444
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    """`python -m testkit.engine FOLDER`: prepares the images in a data folder, so that tests begin at once."""
    with engine(Path(sys.argv[1])) as made:
        made.prepare()


if __name__ == "__main__":
    main()
