"""Makes the secrets of an installation in containers: `python -m suite.credentials FOLDER [OWNER [POSTGRES_OWNER]]`.

Run again it keeps passwords, and makes anew what ends within ten days: services take that up by themselves, the two
servers on SIGHUP. Every container mounts only its own part of FOLDER, as /credentials:

    authority/             the installation's certificate authority; in no other container
    nats/<user>            password of every user of the log
    nats/nats.conf         configuration of the server, with all of them in it
    postgres/password      of the superuser
    postgres/<role>        password of every role of the views
    provision/             for the one that makes streams and roles: nats, pgpass, and every <role>
    <service>/nats         password of the user of that name
    <service>/pgpass       of the service's three roles, as libpq and asyncpg read it
    notary/nats            password of the notary, who may only read the log
    deployment/inference   password of the user inference servers publish telemetry as
    <any>/ca.crt           whom to believe; `nats`, `postgres` and every service have a tls.crt and tls.key too

Files are readable by their owner only, the numeric user OWNER that the services run as, POSTGRES_OWNER for Postgres.
"""

import os
import sys
from pathlib import Path

from suite.certificates import DAYS, Authority, days_left, name_of
from suite.folder import replace, secret
from suite.log_rights import PROVISION, USERS, ServerTls, configuration
from suite.postgres_roles import KINDS, ROLES, SERVICES

__all__ = ["SERVICES", "main", "make"]
_POSTGRES = "postgres:5432:modelog"
_TLS = ServerTls("/credentials/tls.crt", "/credentials/tls.key", "/credentials/ca.crt")


def make(folder: Path) -> list[Path]:
    """Makes what is missing or ends soon, keeps the rest; every file there is now."""
    authority = Authority.kept(folder / "authority")
    users = {user: secret(folder / "nats" / user) for user in USERS}
    roles = {role: secret(folder / "postgres" / role) for role in ROLES}
    superuser = secret(folder / "postgres" / "password")
    _keep(folder / "nats" / "nats.conf", configuration(users, _TLS))
    _keep(folder / "provision" / "nats", users[PROVISION])
    _keep(folder / "provision" / "pgpass", f"{_POSTGRES}:modelog:{superuser}\n")
    _keep(folder / "deployment" / "inference", users["inference"])
    _keep(folder / "notary" / "nats", users["notary"])
    for role, password in roles.items():
        _keep(folder / "provision" / role, password)
    for service in SERVICES:
        own = [f"{service}_{kind}" for kind in KINDS]
        _keep(folder / service / "nats", users[service])
        _keep(folder / service / "pgpass", "".join(f"{_POSTGRES}:{role}:{roles[role]}\n" for role in own))
    for holder in ("nats", "postgres", "provision", "notary", *SERVICES):
        _keep(folder / holder / "ca.crt", authority.certificate)
        if holder not in ("provision", "notary"):
            _certify(authority, folder / holder, holder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _certify(authority: Authority, folder: Path, holder: str) -> None:
    """A certificate for the holder's door, by which a service is known to others too."""
    certificate = folder / "tls.crt"
    if not certificate.exists() or days_left(certificate) < DAYS / 3:
        uris = [name_of(holder)] if holder in SERVICES else []
        authority.issue(holder, hosts=[holder, "localhost", "127.0.0.1"], uris=uris).write(folder, "tls")


def _keep(path: Path, content: str) -> None:
    """A file with this content; written only where it differs, so that nothing is half there at any moment."""
    if not path.exists() or path.read_text() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content)


def main(folder: Path, owner: int | None = None, postgres_owner: int | None = None) -> None:
    for path in make(folder):
        holder = path.relative_to(folder).parts[0]
        user = postgres_owner if holder == "postgres" and postgres_owner is not None else owner
        if user is not None and holder != "authority":
            os.chown(path.parent, user, user)
            os.chown(path, user, user)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
