"""Monitoring: concludes facts from telemetry, and follows them up to an alert and a request to retrain."""
