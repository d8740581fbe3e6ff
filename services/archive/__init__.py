"""The archive: sealed records, the log read for everyone, and proofs about it."""
