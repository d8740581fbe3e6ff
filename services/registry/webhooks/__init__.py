"""Sends facts of a project to addresses outside: each at least once, in order, signed."""
