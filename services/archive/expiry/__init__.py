"""Records that have expired: found by the clock, decided by rules and holds, erased after the fact."""
