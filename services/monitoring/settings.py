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
