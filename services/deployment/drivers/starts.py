"""How long a replica that ends by itself has to wait until it is started again."""

from dataclasses import dataclass

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Starts:
    """count: starts since it was last steady; at: moment of the last one, wall clock;

    why: what the replica said of its end before it.
    """

    count: int = 0
    at: float = 0.0
    why: str = ""

    @property
    def pause_seconds(self) -> float:
        """From the last start to the next: none before the second, then twice as long each time."""
        if not self.count:
            return 0.0
        return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self.count - 1, 16), _LONGEST_PAUSE_SECONDS)

    def wait_seconds(self, now: float) -> float:
        """How long until it may be started again; a clock that was put back does not make it longer than a pause."""
        return max(min(self.at + self.pause_seconds - now, self.pause_seconds), 0.0)
