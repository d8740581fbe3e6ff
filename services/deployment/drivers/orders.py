"""What a replica that is a process is told."""

from dataclasses import dataclass
from pathlib import Path

from services.deployment.drivers.port import Workload
from services.deployment.inference.order import Column, Order

_BATCH_ROWS = "32"


@dataclass(frozen=True)
class Telemetry:
    """Where replicas publish what they answered; nowhere when the url is empty."""

    url: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class Orders:
    """folder: of all replicas. lease: the file that is touched as long as they are wanted."""

    folder: Path
    telemetry: Telemetry
    lease: Path
    lease_seconds: float

    def of(self, workload: Workload, replica: str, *, artifact: Path) -> Order:
        """artifact: where it lies in the store; nowhere when that is not known yet."""
        return Order(
            replica=replica,
            endpoint=workload.key.endpoint,
            version=workload.key.version,
            artifact=str(artifact),
            sha256=workload.sha256,
            answer_file=str(self.folder / replica / "answer.json"),
            format=workload.format,
            inputs=tuple(Column(*one) for one in workload.inputs),
            outputs=tuple(Column(*one) for one in workload.outputs),
            threads=int(workload.settings.get("threads", "1")),
            memory_mib=int(workload.settings.get("memory_mib", "0")),
            cpus=int(workload.settings.get("cpus", "0")),
            resident_mib=int(workload.settings.get("resident_mib", "0")),
            grpc_port=-1 if workload.settings.get("grpc") == "off" else 0,
            batch_rows=int(workload.settings.get("batch_rows", _BATCH_ROWS)),
            batch_delay_ms=float(workload.settings.get("batch_delay_ms", "0")),
            telemetry_percent=float(workload.settings.get("telemetry_percent", "100")),
            nats_url=self.telemetry.url,
            nats_user=self.telemetry.user,
            nats_password_file=self.telemetry.password_file,
            nats_ca_file=self.telemetry.ca_file,
            lease_file=str(self.lease),
            lease_seconds=self.lease_seconds,
        )
