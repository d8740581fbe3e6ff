"""Compares everything that says what happened: log, copy, tree, checkpoints, cosignatures, keys and views."""
