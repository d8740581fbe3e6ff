"""Sampled rows, which are kept for a time only."""
