"""The archive's environment."""

from dataclasses import dataclass
from pathlib import Path

import kernel.settings


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    """data_dir holds the log's key and every signed checkpoint: it is no view and cannot be rebuilt. Back it up."""

    # Name of the log in every checkpoint: one for a deployment of modelog, never changed, never used twice.
    log_origin: str = "modelog.local/lifecycle"
    # Where a notary that is a process of its own (services.archive.notarizing) puts what it signs; empty: this process
    # is the notary, and holds the key.
    notary_folder: str = ""
    # Where such a one is asked for a new key.
    notary_asks: str = ""
    # How long the notary gathers facts before it signs; it signs at once after 256.
    sign_pause_seconds: float = 0.5
    # Name of the witness in every cosignature: never changed, and never that of another witness.
    witness_name: str = "modelog.local/archive-witness"
    # Comparing all stores in the background: the share of its time it may take from others, and the rest in between.
    scrub_share: float = 0.1
    scrub_pause_seconds: float = 300.0
    # How often records are looked through for those that have expired; with 0 nothing expires.
    expiry_pause_seconds: float = 86_400.0
    # Where records lie, and where artifacts are copied from and restored to: `s3://bucket/prefix` and the like, region,
    # endpoint and credentials as AWS_... say; when empty, below data_dir and in artifacts_dir.
    records_address: str = ""
    artifacts_address: str = ""
    # What a month of a gibibyte in that store costs, for `modelog records cost`; in whatever currency.
    gibibyte_month_price: float = 0.023
    # Streams of facts open at once, and how long one may block before it is sent away.
    max_readers: int = 200
    reader_stall_seconds: float = 30.0

    @property
    def notary_dir(self) -> Path:
        return Path(self.notary_folder or Path(self.data_dir) / "notary")

    @property
    def asks_dir(self) -> Path:
        return Path(self.notary_asks or self.notary_dir)

    @property
    def records_dir(self) -> Path:
        return Path(self.data_dir) / "records"

    @property
    def records(self) -> str | Path:
        return self.records_address or self.records_dir

    @property
    def artifacts(self) -> str | Path:
        return self.artifacts_address or Path(self.artifacts_dir)

    @property
    def copy_dir(self) -> Path:
        return Path(self.data_dir) / "copy"

    @property
    def witness_dir(self) -> Path:
        return Path(self.data_dir) / "witness"

    @property
    def scrub_dir(self) -> Path:
        return Path(self.data_dir) / "scrub"
