"""From the stream ACCESS to a table that auditors search: every record once, for as long as the stream keeps it."""
