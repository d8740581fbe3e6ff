"""The environment of monitoring."""

from dataclasses import dataclass

import kernel.settings


@dataclass(frozen=True)
class Settings(kernel.settings.Settings):
    """Besides what every service needs. Windows are closed within tick_seconds of being complete."""

    # How often the clock is asked whether a window by time is over.
    tick_seconds: float = 1.0
    # How long after its end by the clock telemetry of a window may still be on its way.
    telemetry_delay_seconds: float = 3.0
    # How long ids of counted batches and rejected batches are kept; no shorter than the stream keeps its messages.
    telemetry_days: float = 8.0
    # How long predictions wait for their label, and labels for their prediction; and how many of each at most.
    label_days: float = 30.0
    most_waiting_predictions: int = 1_000_000
    # How long profiles of evaluated windows are kept, so that a window can be computed again. Baselines stay.
    profile_days: float = 400.0
    # How much is kept of an endpoint's batches that could not be counted, so that they can be sent again.
    rejected_mebibytes: float = 32.0
    # What one producer, and all of a project together, may send through Ingest to one process: rows and bytes a second,
    # on average over ten seconds. 0 lifts a limit.
    producer_rows_per_second: float = 200_000.0
    producer_bytes_per_second: float = 100_000_000.0
    project_rows_per_second: float = 500_000.0
    project_bytes_per_second: float = 250_000_000.0
    # How much of the stream may wait to be counted before Ingest holds producers back.
    most_waiting_mebibytes: float = 256.0
