"""The archive's own copy of the log: files that nothing overwrites and no rebuild touches."""
