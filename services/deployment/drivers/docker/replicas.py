"""What the engine says of a container, as a replica. Pure but for asking the replica itself."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from services.deployment.drivers.docker.names import REPLICA, Facts, key_of
from services.deployment.drivers.docker.spec import REST
from services.deployment.drivers.port import Key, Replica, State
from services.deployment.inference.order import ARTIFACT_REFUSED, MODEL_REFUSED

STEADY_SECONDS = 30.0
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - As the engine says it; asked at the loopback.


@dataclass(frozen=True)
class Look:
    """One container. ended: its last exit status, None as long as it runs."""

    facts: Facts

    @property
    def id(self) -> str:
        return str(self.facts["Id"])

    @property
    def name(self) -> str:
        """As it is called now."""
        return str(self.facts["Name"]).lstrip("/")

    @property
    def replica(self) -> str:
        """Which replica it was made as."""
        labels = self.facts["Config"].get("Labels") or {}
        return str(labels.get(REPLICA, self.name))

    @property
    def key(self) -> Key:
        return key_of(self.facts["Config"].get("Labels"))

    @property
    def status(self) -> str:
        """created, running, paused, restarting, removing, exited or dead."""
        return str(self.facts["State"]["Status"])

    @property
    def alive(self) -> bool:
        return self.status in ("running", "paused")

    @property
    def refused(self) -> bool:
        """It has ended for good: trying again at once is of no use."""
        return not self.alive and self.facts["State"]["ExitCode"] in (ARTIFACT_REFUSED, MODEL_REFUSED)

    @property
    def started(self) -> datetime:
        return _moment(self.facts["State"]["StartedAt"])

    @property
    def finished(self) -> datetime:
        return _moment(self.facts["State"]["FinishedAt"])

    @property
    def restarts(self) -> int:
        """Of the engine, since somebody started it last."""
        return int(self.facts.get("RestartCount") or 0)

    def address(self, port: str = REST) -> str:
        """`host:port` at which the port is published now; empty when it is not."""
        if not self.alive:
            return ""
        bindings = (self.facts["NetworkSettings"].get("Ports") or {}).get(port) or []
        for one in bindings:
            host = "127.0.0.1" if one.get("HostIp", "") in _EVERYWHERE else str(one["HostIp"])
            return f"[{host}]:{one['HostPort']}" if ":" in host else f"{host}:{one['HostPort']}"
        return ""

    @property
    def run(self) -> str:
        return f"{self.id[:12]} {self.facts['State']['StartedAt']}"

    def why_down(self, restarts: int) -> str:
        state = self.facts["State"]
        memory = (self.facts["HostConfig"].get("Memory") or 0) >> 20
        how = f"status {state['ExitCode']}"
        if state.get("OOMKilled"):
            how = f"killed, for it wanted more than its {memory} MiB of memory"
        elif state.get("Error"):
            how = str(state["Error"])
        if self.status == "created":
            return f"{self.replica} could not be started: {state['Error']}" if state.get("Error") else "not started yet"
        times = f" {restarts} times" if restarts > 1 else ""
        return f"{self.replica} has ended{times}, last with {how}"


def down(look: Look, restarts: int, *, last_words: str) -> Replica:
    """A container in which nothing runs. last_words: of the replica, when it says that it refuses."""
    if look.refused:
        artifact = look.facts["State"]["ExitCode"] == ARTIFACT_REFUSED
        problem = last_words or look.why_down(restarts)
        return Replica(look.replica, look.key, State.REFUSED, "", problem, artifact, look.run, restarts)
    return Replica(look.replica, look.key, State.DOWN, problem=look.why_down(restarts), run=look.run, restarts=restarts)


def uptime_seconds(look: Look, now: datetime) -> float:
    return (now - look.started).total_seconds() if look.alive else 0.0


def _moment(text: str) -> datetime:
    """The engine writes nanoseconds, which datetime does not read."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        return datetime.fromisoformat(cut)
    except ValueError:
        return datetime(1, 1, 1, tzinfo=UTC)
