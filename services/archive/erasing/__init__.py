"""Erasing free text from beside the log."""
