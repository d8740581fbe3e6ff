"""Signed statements about artifacts: in-toto statements in DSSE envelopes, and the keys they are signed with.

The same code signs, verifies when the registry records a statement, and verifies again offline.
"""
