"""From the stream TELEMETRY to windows: every batch counts exactly once, or is put aside with the reason."""
