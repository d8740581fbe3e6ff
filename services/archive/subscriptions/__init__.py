"""Places in the log that are kept for groups of consumers."""
