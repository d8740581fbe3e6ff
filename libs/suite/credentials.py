"""Makes the passwords of an installation in containers, once: `python -m suite.credentials FOLDER [OWNER]`.

Every container mounts only its own part of FOLDER, as /credentials:

    nats/<user>            of every user of the log
    nats/nats.conf         of the server, with all of them in it
    provision/nats         for the one that makes the streams
    <service>/nats         of the user of that name
    <service>/pgpass       for Postgres, as libpq and asyncpg read it
    deployment/inference   of the user inference servers publish telemetry as
    postgres/password      for the server

Files are readable by their owner only, the numeric user OWNER that the services run as; the servers read them as root.
"""

import os
import sys
from pathlib import Path

from suite.folder import secret
from suite.log_rights import USERS, configuration

SERVICES = ("registry", "deployment", "monitoring", "archive")
_POSTGRES = "postgres:5432:modelog:modelog"


def make(folder: Path) -> list[Path]:
    """Makes what is missing, keeps what is there; every file there is now."""
    made = [folder / "nats" / user for user in USERS]
    made.append(_keep(folder / "nats" / "nats.conf", configuration({one.name: secret(one) for one in made})))
    password = secret(folder / "postgres" / "password")
    made.append(folder / "postgres" / "password")
    made.append(_keep(folder / "provision" / "nats", secret(folder / "nats" / "provision")))
    made.append(_keep(folder / "deployment" / "inference", secret(folder / "nats" / "inference")))
    for service in SERVICES:
        made.append(_keep(folder / service / "nats", secret(folder / "nats" / service)))
        made.append(_keep(folder / service / "pgpass", f"{_POSTGRES}:{password}\n"))
    return made


def _keep(path: Path, content: str) -> Path:
    """A file with this content; written only where it is missing, so that nothing is half there at any moment."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(content)
        new.chmod(0o400)
        new.rename(path)
    return path


def main(folder: Path, owner: int | None = None) -> None:
    for path in make(folder):
        if owner is not None:
            os.chown(path.parent, owner, owner)
            os.chown(path, owner, owner)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
