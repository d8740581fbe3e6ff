"""How much each measure does: enough for steady medians, or as much as a pipeline waits for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Numbers of rounds and of operations a round; lengths in seconds."""

    rounds: int = 5
    callers: int = 32
    models: int = 64
    writes: int = 3000
    reads: int = 6000
    verifications: int = 200_000
    lives: int = 20_000
    rebuilds: int = 3
    paced_per_second: int = 200
    paced_seconds: float = 12.0
    deep: int = 100_000
    pairs: int = 200
    restarts: int = 5
    idle_seconds: float = 8.0
    rest_seconds: float = 30.0
    stock_models: int = 10_000
    stock_versions: int = 20
    searches: int = 200
    bundled: int = 1_000_000
    replayed: int = 100_000


QUICK = Effort(
    rounds=2,
    writes=1200,
    reads=3000,
    verifications=50_000,
    lives=2000,
    rebuilds=1,
    paced_seconds=4.0,
    deep=10_000,
    pairs=100,
    restarts=1,
    idle_seconds=3.0,
    rest_seconds=12.0,
    stock_models=500,
    searches=40,
    bundled=100_000,
    replayed=20_000,
)
